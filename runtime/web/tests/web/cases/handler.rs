//! Starting a worker, dispatch, answers, errors, `ctx`.

use crate::cases::cases;
use crate::support::*;

cases![hello];

async fn hello(source: Source) {
    let code = "export default { fetch(request) { return new Response('hello ' + new URL(request.url).pathname); } };";
    let mut isolate = Isolate::new(source, code).await;
    let answer = isolate.fetch(get("/x")).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello /x"));
    assert_eq!(answer.header("content-type"), "text/plain;charset=UTF-8");
    assert_eq!(isolate.finished().len(), 1);
}
