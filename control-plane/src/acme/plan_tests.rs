use atoll_store::StoredCertificate;

use super::super::note::OpenOrder;
use super::*;

const DAY: u64 = 24 * 60 * 60_000;

fn record(name: &str, source: CertificateSource, names: &[&str], days: (u64, u64)) -> CertificateRecord {
    let facts = CertificateFacts {
        names: names.iter().map(ToString::to_string).collect(),
        issuer: "CN=CA".into(),
        not_before: days.0 * DAY,
        not_after: days.1 * DAY,
        fingerprint: name.into(),
    };
    let issued = StoredCertificate { chain: String::new(), key: Vec::new(), facts, updated_at: 0 };
    let name = name.to_owned();
    CertificateRecord { name, revision: 1, source, issued: Some(issued), challenges: Vec::new(), deleted: false }
}

struct Given {
    routes: Vec<String>,
    allowed: Vec<String>,
    certificates: Vec<CertificateRecord>,
    notes: BTreeMap<String, Note>,
}

impl Given {
    fn routes(routes: &[&str]) -> Self {
        let routes = routes.iter().map(ToString::to_string).collect();
        Self { routes, allowed: Vec::new(), certificates: Vec::new(), notes: BTreeMap::new() }
    }

    fn situation(&self) -> Situation<'_> {
        let Self { routes, allowed, certificates, notes } = self;
        Situation { routes, allowed, certificates, notes }
    }

    fn next(&self, host: &str) -> Option<UnixMillis> {
        self.situation().next_attempts().get(host).copied()
    }
}

#[test]
fn hosts_written_out_in_full_are_wanted() {
    let mut given = Given::routes(&[
        "a.example/x",
        "a.example/y/*",
        "b.a.example",
        "*.a.example/*",
        "*/x",
        "*b.example/",
        "localhost/x",
        "app.localhost",
        "192.0.2.1/x",
        "intranet/*",
        "a_b.example/",
    ]);
    let wanted = |given: &Given| given.situation().wanted().into_iter().collect::<Vec<_>>();
    assert_eq!(wanted(&given), ["a.example", "b.a.example"]);
    given.allowed = vec!["*.a.example".into()];
    assert_eq!(wanted(&given), ["b.a.example"]);
    given.allowed = vec!["a.example".into(), "*.example".into()];
    assert_eq!(wanted(&given), ["a.example", "b.a.example"]);
}

#[test]
fn what_has_no_certificate_is_asked_for_at_once_and_what_has_one_at_two_thirds() {
    let mut given = Given::routes(&["a.example", "b.example"]);
    given.certificates.push(record("acme:b.example", CertificateSource::Acme, &["b.example"], (0, 90)));
    assert_eq!(given.next("a.example"), Some(0));
    let renewal = given.next("b.example").unwrap();
    assert!((55 * DAY..=60 * DAY).contains(&renewal), "{}", renewal / DAY);
    assert_eq!(given.next("b.example"), Some(renewal), "the same at every look");
    let times: BTreeSet<u64> = (0..50)
        .map(|n| renew_at(&format!("{n}.example"), &given.certificates[0].issued.clone().unwrap().facts))
        .collect();
    assert!(times.len() > 40, "hosts are spread over days");
}

#[test]
fn an_uploaded_certificate_spares_its_hosts_until_it_gets_old() {
    let mut given = Given::routes(&["a.example", "b.a.example"]);
    given.certificates.push(record("mine", CertificateSource::Upload, &["*.a.example"], (0, 300)));
    assert_eq!(given.next("a.example"), Some(0));
    assert!(given.next("b.a.example").unwrap() > 180 * DAY);
}

#[test]
fn notes_hasten_and_delay() {
    let mut given = Given::routes(&["a.example"]);
    given.certificates.push(record("acme:a.example", CertificateSource::Acme, &["a.example"], (0, 90)));
    let mut with = |note: Note| {
        given.notes.insert("a.example".into(), note);
        given.next("a.example").unwrap()
    };
    let order = Some(OpenOrder { directory: "d".into(), url: "u".into(), key: vec![] });
    assert_eq!(with(Note { order: order.clone(), ..Note::default() }), 0, "an open order goes on");
    assert_eq!(with(Note { order, retry_at: Some(7), ..Note::default() }), 7);
    assert_eq!(with(Note { renew: true, ..Note::default() }), 0, "somebody asked for it");
    assert_eq!(with(Note { retry_at: Some(80 * DAY), ..Note::default() }), 80 * DAY);
    assert!(with(Note { retry_at: Some(7), ..Note::default() }) > 50 * DAY);
}

#[test]
fn what_nobody_wants_goes_when_it_is_of_no_use() {
    let mut given = Given::routes(&["a.example"]);
    for (name, days) in [("acme:a.example", (0, 10)), ("acme:old.example", (0, 10)), ("acme:new.example", (0, 90))] {
        given.certificates.push(record(name, CertificateSource::Acme, &[], days));
    }
    given.certificates.push(record("mine", CertificateSource::Upload, &[], (0, 10)));
    given.notes = ["a.example", "gone.example"].map(|host| (host.to_owned(), Note::default())).into();
    assert_eq!(given.situation().outlived(20 * DAY), ["acme:old.example"]);
    assert_eq!(given.situation().forgotten(), ["gone.example"]);
}

#[test]
fn pauses_grow_and_heed_the_authority() {
    let seconds =
        |kind, failures, asked: Option<u64>| pause(kind, failures, asked.map(Duration::from_secs), 0.0).as_secs();
    assert_eq!([1, 2, 3].map(|n| seconds(Kind::Refused, n, None)), [120, 480, 1920]);
    assert!((1..=4).map(|n| seconds(Kind::Refused, n, None)).sum::<u64>() > 3600, "fewer than five failures an hour");
    assert_eq!(seconds(Kind::Refused, 60, None), 12 * 3600);
    assert_eq!(seconds(Kind::Unreachable, 1, None), 2);
    assert_eq!(seconds(Kind::Unreachable, 1, Some(77)), 77);
    assert_eq!(seconds(Kind::Limited, 1, Some(5)), 3600);
    assert_eq!(seconds(Kind::Limited, 1, Some(u64::MAX)), 7 * 24 * 3600);
    assert_eq!(pause(Kind::Refused, 1, None, 1.0).as_secs(), 132);
}

#[test]
fn orders_are_counted() {
    let mut window = Window::default();
    for _ in 0..ORDERS {
        window.admit(5).unwrap();
    }
    assert_eq!(window.admit(6), Err(5 + WINDOW));
    assert_eq!(window.admit(5 + WINDOW), Ok(()));
}
