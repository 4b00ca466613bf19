//! CORS: the sites whose pages may read answers.

use std::sync::Arc;

/// The sites of the list, as browsers write them.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Box<[Arc<str>]>,
}

impl Cors {
    /// `None` where no site is listed: then nothing is looked at.
    pub fn new<'o>(origins: impl Iterator<Item = &'o str>) -> Option<Arc<Cors>> {
        let origins: Box<[Arc<str>]> = origins.map(Arc::from).collect();
        (!origins.is_empty()).then(|| Arc::new(Cors { origins }))
    }

    /// The site, where it is of the list.
    pub fn listed(&self, origin: Option<&str>) -> Option<&Arc<str>> {
        let origin = origin?;
        self.origins.iter().find(|known| ***known == *origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_site_is_listed() {
        let cors = Cors::new(["https://a.example"].into_iter()).unwrap();
        assert!(cors.listed(Some("https://a.example")).is_some());
        for other in [None, Some("https://a.example.evil"), Some("http://a.example"), Some("null")] {
            assert!(cors.listed(other).is_none(), "{other:?}");
        }
        assert!(Cors::new(std::iter::empty()).is_none());
    }
}
