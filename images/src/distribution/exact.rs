//! Images that have what they are asked to have and nothing else: what more packages do to a guest is no part of what it shows.

use std::path::PathBuf;

use super::{Distribution, Error, PACKAGES, image, is_made_of, recipe};
use crate::cache::Cache;

impl Distribution {
    /// The image with just [`PACKAGES`] and `more` in the cache: the one that people build where it is of just these, else one
    /// of its own, `roots/NAME+PACKAGE+PACKAGE.squashfs`.
    ///
    /// # Errors
    /// [`Error::NotBuilt`].
    pub fn built_of(&self, cache: &Cache, more: &[String]) -> Result<PathBuf, Error> {
        let (stem, recipe) = (self.stem(more), recipe(more));
        let found = [self.name, &stem].into_iter().find(|stem| is_made_of(cache, stem, &recipe));
        let missing = || Error::NotBuilt { name: self.named(more) };
        found.map(|stem| image(cache, stem)).ok_or_else(missing)
    }

    /// The same, built when it is not there. The programs that build it are.
    ///
    /// # Errors
    /// [`Error`].
    pub fn build_of(&self, cache: &Cache, more: &[String]) -> Result<PathBuf, Error> {
        match self.built_of(cache, more) {
            Err(Error::NotBuilt { .. }) => self.build_as(cache, &self.stem(more), more, false),
            found => found,
        }
    }

    /// What an image of its own is called.
    fn stem(&self, more: &[String]) -> String {
        let mut stem = format!("{}+", self.name);
        stem.push_str(&beside(more).join("+"));
        stem
    }

    /// As `images build` takes it.
    fn named(&self, more: &[String]) -> String {
        let packages: String = beside(more).iter().map(|package| format!(" --package {package}")).collect();
        self.name.to_owned() + &packages
    }
}

/// The packages that not every image has, the same for the same ones.
fn beside(more: &[String]) -> Vec<&str> {
    let mut all: Vec<&str> = more.iter().map(String::as_str).collect();
    all.retain(|package| !PACKAGES.contains(package));
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::ALL;

    #[test]
    fn an_image_of_just_these_packages_is_found_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let (debian, more) = (ALL[0], ["stress-ng", "udev", "bc"].map(str::to_owned));
        let error = debian.built_of(&cache, &more).unwrap_err().to_string();
        assert!(
            error.ends_with("dimmer-lab images build debian-12 --package bc --package stress-ng"),
            "{error}"
        );
        let built = |stem: &str, recipe: &str| {
            cache.write(format!("roots/{stem}.squashfs"), b"image").unwrap();
            cache.write(format!("roots/{stem}.made"), recipe.as_bytes()).unwrap();
            image(&cache, stem)
        };
        // More than was asked for is another guest.
        built("debian-12", &recipe(&["bc", "stress-ng", "redis"].map(str::to_owned)));
        assert!(debian.built_of(&cache, &more).is_err());
        let own = built("debian-12+bc+stress-ng", &recipe(&more));
        assert_eq!(debian.build_of(&cache, &more).unwrap(), own);
        let usual = built("debian-12", &recipe(&more));
        assert_eq!(debian.built_of(&cache, &more).unwrap(), usual);
    }
}
