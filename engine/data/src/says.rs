//! What a request says besides its spans, looked up where a rule of its route asks.

use std::borrow::Cow;
use std::cell::OnceCell;

use ringway_adapters::needs::{Has, Needs, needs};
use ringway_policy::facts::{CREDENTIALS, Says};
use ringway_policy::key::Principal;
use ringway_policy::lease::Now;
use ringway_policy::quota;
use ringway_policy::tags::Tags;

use crate::request::Request;

/// One request, its body looked through at most once.
pub(crate) struct Said<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) principal: &'a Principal,
    pub(crate) tags: Tags<'a>,
    pub(crate) now: Now,
    /// Why the model is not known.
    pub(crate) unread: Option<&'static str>,
    pub(crate) needs: OnceCell<Needs<'a>>,
}

impl std::fmt::Debug for Said<'_> {
    /// Bodies and heads are never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").finish_non_exhaustive()
    }
}

impl<'a> Said<'a> {
    fn needs(&self) -> &Needs<'a> {
        self.needs.get_or_init(|| needs(self.body))
    }
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

impl Says for Said<'_> {
    fn user(&self) -> Option<Cow<'_, str>> {
        self.needs().user.as_deref().map(Cow::Borrowed)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.field(name).filter(|_| !is_credential(name))
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name)
    }

    fn key(&self) -> Option<&str> {
        Some(&self.principal.key)
    }

    fn team(&self) -> Option<&str> {
        self.principal.team.as_deref()
    }

    fn customer(&self) -> Option<&str> {
        self.principal.customer.as_deref()
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &str)) {
        for (name, value, _) in self.request.head.fields.iter(self.request.bytes) {
            let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else { continue };
            if !is_credential(name) {
                each(&name.to_ascii_lowercase(), value);
            }
        }
    }

    fn each_tag(&self, each: &mut dyn FnMut(&str, &str)) {
        self.tags.iter().for_each(|(name, value)| each(name, value));
    }

    fn has(&self) -> Has {
        self.needs().has
    }

    fn media_bytes(&self) -> usize {
        self.needs().media_bytes
    }

    fn budget_share(&self) -> f64 {
        quota::budget_share(self.principal, self.now)
    }

    fn unix_s(&self) -> u64 {
        self.now.unix_ms / 1_000
    }

    fn unread(&self) -> Option<&str> {
        self.unread
    }
}
