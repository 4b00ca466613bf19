//! Priority classes: who goes first where there is not room for all.
//!
//! A request has the class of its key (or the key's profile), else its route's, else `Normal`. It may ask for less with
//! `x-ringway-priority`, never for more: what a client writes into a header is not what an operator grants.

use schemars::JsonSchema;

/// A request's wish for a class, below its own.
pub const HEADER: &str = "x-ringway-priority";

/// A class; the one that goes first is the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Class {
    High,
    #[default]
    Normal,
    Low,
}

impl Class {
    pub const ALL: [Class; 3] = [Class::High, Class::Normal, Class::Low];

    /// The words of the file, of the header, and of records and metrics.
    pub const WORDS: &'static [(&'static str, Class)] = &[("high", Class::High), ("normal", Class::Normal), ("low", Class::Low)];

    pub fn name(self) -> &'static str {
        Class::WORDS[self.index()].0
    }

    pub fn index(self) -> usize {
        self as usize
    }

    /// What a request may have of what it wishes.
    pub fn lowered(self, wish: Option<Class>) -> Class {
        wish.map_or(self, |wish| wish.max(self))
    }
}

/// Reads the header. It is looked at only where there is not room for all; what is none of the words wishes nothing.
pub fn wish(value: Option<&str>) -> Option<Class> {
    let value = value?.trim();
    Class::WORDS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word)).map(|(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_word() {
        for class in Class::ALL {
            assert_eq!(wish(Some(class.name())), Some(class));
        }
        assert_eq!((wish(None), wish(Some(" LOW ")), wish(Some("urgent"))), (None, Some(Class::Low), None));
    }

    #[test]
    fn a_wish_lowers_and_never_raises() {
        assert_eq!(Class::Normal.lowered(Some(Class::Low)), Class::Low);
        assert_eq!(Class::Normal.lowered(Some(Class::High)), Class::Normal);
        assert_eq!(Class::High.lowered(None), Class::High);
    }
}
