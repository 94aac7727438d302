//! What `--version` says.

/// The version. Packages say the commit and the target as well, in `DIMMER_BUILD` (`packaging/facts`). Other builds do not: they
/// would be built anew with every commit.
pub const VERSION: &str = match option_env!("DIMMER_BUILD") {
    Some(facts) => facts,
    None => env!("CARGO_PKG_VERSION"),
};

#[test]
fn what_a_package_says_begins_with_the_version() {
    assert_eq!(VERSION.split(' ').next(), Some(env!("CARGO_PKG_VERSION")));
}
