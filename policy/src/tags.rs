//! Tags: `name=value` pairs of an exchange, for conditions, limits, budgets and chargeback.
//!
//! A key's own tags stand before those that the request sends, and a name that the key has cannot be sent. Nothing here
//! allocates but `to_text`: what was sent is checked once and read where it lies.

use ringway_adapters::fault::{Fault, Kind};

/// Most tags of one request, and of one key.
pub const TAGS_MAX: usize = 16;
pub const NAME_BYTES_MAX: usize = 64;
pub const VALUE_BYTES_MAX: usize = 128;
/// The header that sends them.
pub const HEADER: &str = "x-ringway-tags";

/// A tag of a key: name and value.
pub type Tag = (Box<str>, Box<str>);

/// The tags of one exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tags<'a> {
    own: &'a [Tag],
    /// Checked by `new`.
    sent: &'a str,
}

impl<'a> Tags<'a> {
    /// The tags of a key and those of the request's header, as sent: `k=v,…`.
    ///
    /// # Errors
    /// `InvalidRequest` where what was sent is too much, no list of pairs, or has a name twice.
    pub fn new(own: &'a [Tag], sent: Option<&'a str>) -> Result<Tags<'a>, Fault> {
        let sent = sent.unwrap_or_default();
        for (index, item) in items(sent).enumerate() {
            if index >= TAGS_MAX {
                return Err(bad(format!("{HEADER} holds more than {TAGS_MAX} tags; send fewer")));
            }
            let Some((name, value)) = pair(item) else {
                return Err(bad(format!("{HEADER}: {:?} is no tag; write name=value,name=value", cut(item))));
            };
            check(name, value).map_err(|wrong| bad(format!("{HEADER}: the tag {:?} cannot be used: {wrong}", cut(item))))?;
            if items(sent).take(index).filter_map(pair).any(|(other, _)| other == name) {
                return Err(bad(format!("{HEADER} holds {name:?} twice; send it once")));
            }
        }
        Ok(Tags { own, sent })
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Each name once, the key's own first.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let own = self.own;
        let sent = items(self.sent).filter_map(pair).filter(move |(name, _)| own.iter().all(|(owned, _)| **owned != **name));
        own.iter().map(|(name, value)| (&**name, &**value)).chain(sent)
    }

    /// `k=v,k=v`, for the record; `None` where there are none.
    pub fn to_text(&self) -> Option<Box<str>> {
        let mut text = String::new();
        for (name, value) in self.iter() {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        (!text.is_empty()).then(|| text.into())
    }
}

/// Whether a tag may be had, in the file as in the header.
///
/// # Errors
/// What to write instead.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let good_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if !good_name {
        return Err(format!("a name is 1 to {NAME_BYTES_MAX} letters, digits, underscores, hyphens and dots"));
    }
    let good_value = (1..=VALUE_BYTES_MAX).contains(&value.len()) && !value.chars().any(|c| c.is_control() || c == ',');
    if good_value { Ok(()) } else { Err(format!("a value is 1 to {VALUE_BYTES_MAX} bytes without commas and control characters")) }
}

fn items(sent: &str) -> impl Iterator<Item = &str> {
    sent.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn pair(item: &str) -> Option<(&str, &str)> {
    item.split_once('=').map(|(name, value)| (name.trim_end(), value.trim_start()))
}

/// A tag short enough for a message.
fn cut(item: &str) -> &str {
    &item[..item.floor_char_boundary(NAME_BYTES_MAX)]
}

fn bad(message: String) -> Fault {
    let mut fault = Fault::new(Kind::InvalidRequest, message);
    fault.param = Some(HEADER.into());
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Tag> {
        vec![("env".into(), "prod".into())]
    }

    #[test]
    fn the_keys_own_tags_cannot_be_overridden() {
        let own = own();
        let tags = Tags::new(&own, Some(" env=dev , team = a=b,")).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("env", "prod"), ("team", "a=b")]);
        assert_eq!((tags.get("env"), tags.get("team"), tags.get("x")), (Some("prod"), Some("a=b"), None));
        assert_eq!(tags.to_text().as_deref(), Some("env=prod,team=a=b"));
    }

    #[test]
    fn no_tags_are_no_tags() {
        for sent in [None, Some(""), Some(" , ")] {
            assert_eq!(Tags::new(&[], sent).unwrap().to_text(), None);
        }
    }

    #[test]
    fn bad_tags_say_what_to_write() {
        let many: String = (0..=TAGS_MAX).map(|n| format!("t{n}=1,")).collect();
        let long = format!("a={}", "é".repeat(VALUE_BYTES_MAX));
        for (sent, message) in [
            ("env", "x-ringway-tags: \"env\" is no tag; write name=value,name=value"),
            ("=x", "x-ringway-tags: the tag \"=x\" cannot be used: a name is 1 to 64 letters, digits, underscores, hyphens and dots"),
            ("a b=x", "cannot be used: a name is"),
            ("a=", "cannot be used: a value is 1 to 128 bytes without commas and control characters"),
            ("a=1,b=2,a=3", "x-ringway-tags holds \"a\" twice; send it once"),
            (&many, "x-ringway-tags holds more than 16 tags; send fewer"),
            (&long, "a value is 1 to 128 bytes"),
        ] {
            let fault = Tags::new(&[], Some(sent)).unwrap_err();
            assert!(fault.message.contains(message), "{}", fault.message);
            assert_eq!((fault.kind, fault.param.as_deref()), (Kind::InvalidRequest, Some(HEADER)));
        }
    }
}
