//! The objects that are cached: bytes that follow from their number, so that both ends can make them.

/// Bytes after which the pattern repeats. A prime, so that no piece of a body looks like one in another place that is a
/// multiple of a buffer's size away.
const PERIOD: usize = 65_521;

/// An object.
#[derive(Debug)]
pub struct Object(Vec<u8>);

impl Object {
    /// The object of that many bytes.
    pub fn new(size: usize) -> Self {
        let block: Vec<u8> = (0..PERIOD).map(|at| (at * at / 7 % 251) as u8).collect();
        Self(block.into_iter().cycle().take(size).collect())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where every server has it.
    pub fn path(&self) -> String {
        path(self.0.len())
    }
}

/// Where the object of `size` bytes is.
pub fn path(size: usize) -> String {
    format!("/{size}")
}

/// What objects are answered with: kept by every shared cache for an hour.
pub const CACHE_CONTROL: &str = "public, max-age=3600";
/// Their type, which nobody compresses.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// Source of an app that answers with the objects.
pub fn app_source() -> String {
    format!(
        "const block = Uint8Array.from({{ length: {PERIOD} }}, (_, at) => Math.floor(at * at / 7) % 251);\n\
         export default {{ fetch(request) {{\n\
         \x20 const body = new Uint8Array(Number(new URL(request.url).pathname.slice(1)));\n\
         \x20 for (let at = 0; at < body.length; at += block.length) {{\n\
         \x20   body.set(block.subarray(0, body.length - at), at);\n\
         \x20 }}\n\
         \x20 const headers = {{ 'cache-control': '{CACHE_CONTROL}', 'content-type': '{CONTENT_TYPE}' }};\n\
         \x20 return new Response(body, {{ headers }});\n\
         }} }};\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_their_size_and_differ_from_themselves_shifted() {
        let object = Object::new(300_000);
        assert_eq!(object.bytes().len(), 300_000);
        for shift in [1, 251, 4096, 16 << 10, 64 << 10] {
            assert_ne!(object.bytes()[..50_000], object.bytes()[shift..shift + 50_000], "shifted by {shift}");
        }
        assert!(Object::new(0).bytes().is_empty());
    }
}
