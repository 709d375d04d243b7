//! A cache as naive as can be: a list of everything that ever came, searched from its end. Time is in whole seconds.

/// What a `Cache-Control` or targeted field says. Durations in seconds.
#[derive(Clone, Debug, Default)]
pub struct Directives {
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
}

/// An origin's answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub cache_control: Option<Directives>,
    pub targeted: Option<Directives>,
    /// `Expires`, seconds after the origin's clock; negative: before it.
    pub expires: Option<i64>,
    /// `Date`: the origin's clock, seconds before ours.
    pub clock_behind: Option<u64>,
    pub age: Option<u64>,
    pub etag: bool,
    pub set_cookie: bool,
    /// `Vary: a`, `Vary: b`.
    pub vary: [bool; 2],
    pub vary_star: bool,
    pub tag: Option<u8>,
    /// Seconds between the request and the answer.
    pub delay: u64,
}

/// A client's request: the values of the fields `a` and `b`.
#[derive(Clone, Debug)]
pub struct Request {
    pub fields: [Option<u8>; 2],
    pub authorization: bool,
    /// `Cache-Control: max-stale=N`.
    pub max_stale: Option<u64>,
}

struct Kept {
    request: Request,
    response: Response,
    arrived: u64,
    number: usize,
    purged: bool,
}

#[derive(Default)]
pub struct Model(Vec<Kept>);

/// What is done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Answered with the response of this number, with this age.
    Answered(usize, u64),
    /// The origin has to be asked.
    Asked,
}

impl Model {
    /// RFC 9111 §4: may anything that is stored answer this?
    pub fn ask(&self, request: &Request, now: u64) -> Done {
        let matches = |kept: &&Kept| {
            let vary = kept.response.vary;
            let same = (0..2).all(|field| !vary[field] || kept.request.fields[field] == request.fields[field]);
            same && !kept.purged
        };
        let Some(kept) = self.0.iter().rev().find(matches) else { return Done::Asked };
        let response = &kept.response;
        let said = response.says();
        // §4.2.3, all in seconds.
        let apparent =
            response.clock_behind.unwrap_or(0) + if response.clock_behind.is_some() { response.delay } else { 0 };
        let initial = apparent.max(response.age.unwrap_or(0) + response.delay);
        let age = initial + (now - kept.arrived);
        let lifetime = response.lifetime();
        let answer = Done::Answered(kept.number, age);
        // §5.2.2.4: whatever its age.
        if said.no_cache {
            return Done::Asked;
        }
        if age < lifetime {
            return answer;
        }
        // §5.2.2.2, §5.2.2.8: never stale.
        if said.must_revalidate || said.proxy_revalidate {
            return Done::Asked;
        }
        let stale = age - lifetime;
        // RFC 5861 §3: up to, not at, so many seconds after.
        if said.stale_while_revalidate.is_some_and(|most| stale < most) {
            return answer;
        }
        // §5.2.1.2; §5.2.2.10: s-maxage has the meaning of proxy-revalidate.
        match request.max_stale {
            Some(most) if stale <= most && said.s_maxage.is_none() => answer,
            _ => Done::Asked,
        }
    }

    /// RFC 9111 §3: takes note of an answer that has come at `arrived`, if it may be stored.
    pub fn take(&mut self, request: &Request, response: &Response, arrived: u64, number: usize) {
        if response.may_be_stored(request) {
            let (request, response) = (request.clone(), response.clone());
            // §4: of several only the most recent is used, so it takes the place of those that answer the same requests.
            let vary = response.vary;
            self.0.retain(|kept| {
                kept.response.vary != vary
                    || (0..2).any(|field| vary[field] && kept.request.fields[field] != request.fields[field])
            });
            self.0.push(Kept { request, response, arrived, number, purged: false });
        }
    }

    /// Nothing of this tag is used any more; without a tag, nothing at all.
    pub fn purge(&mut self, tag: Option<u8>) {
        for kept in &mut self.0 {
            kept.purged |= tag.is_none() || kept.response.tag == tag;
        }
    }
}

impl Response {
    /// RFC 9213 §2.2: the targeted field in place of `Cache-Control`.
    fn says(&self) -> Directives {
        self.targeted.clone().or_else(|| self.cache_control.clone()).unwrap_or_default()
    }

    /// §4.2.1. There are no heuristic lifetimes.
    fn lifetime(&self) -> u64 {
        let said = self.says();
        match (said.s_maxage, said.max_age, self.expires) {
            (Some(seconds), _, _) | (None, Some(seconds), _) => seconds,
            // RFC 9213 §2.2: `Expires` does not count beside a targeted field.
            (None, None, Some(seconds)) if self.targeted.is_none() => {
                // Without `Date`, its clock is ours.
                u64::try_from(seconds).unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn may_be_stored(&self, request: &Request) -> bool {
        let said = self.says();
        let understood = matches!(self.status, 200 | 404 | 500);
        // §5.2.2.3
        let forbidden = if said.must_understand { !understood } else { said.no_store };
        let final_and_whole = !matches!(self.status, 206 | 304 | 412 | 416);
        // §3.5
        let for_all = said.public || said.must_revalidate || said.s_maxage.is_some();
        // §3, last condition, without heuristics; `no-cache` is explicit in that a validation is asked for.
        let expires = self.expires.is_some() && self.targeted.is_none();
        let explicit = said.public || said.no_cache || said.max_age.is_some() || said.s_maxage.is_some() || expires;
        // Beyond the RFC: nothing is stored that could not be used; nor what sets a cookie.
        let usable = self.lifetime() > 0 || said.stale_while_revalidate.is_some_and(|seconds| seconds > 0);
        let useful = self.etag || (usable && !said.no_cache);
        final_and_whole
            && !forbidden
            && !said.private
            && !self.set_cookie
            && !self.vary_star
            && (!request.authorization || for_all)
            && explicit
            && useful
    }
}
