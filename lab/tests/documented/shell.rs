//! Command lines in a block of code, as a shell reads them: what ends in a backslash goes on, `#` begins a comment, and a line
//! may have several commands.

/// The programs, as pages call them. `$L` is the laboratory in README.md.
pub const PROGRAMS: [&str; 3] = ["dimmer", "dimmer-lab", "$L"];
/// What README.md calls the laboratory.
const VARIABLE: &str = "$L";
/// A unit's key for its program.
const STARTS: &str = "ExecStart=";

/// The words of a command line; the first one is `dimmer` or `dimmer-lab`.
pub type Words = Vec<String>;

/// All command lines of the programs in a block that begins on line `first`, each with its line.
pub fn commands(first: usize, text: &str) -> Vec<(usize, Words)> {
    let mut all = Vec::new();
    let mut whole = String::new();
    let mut begun = first;
    for (number, line) in (first..).zip(text.lines()) {
        if whole.is_empty() {
            begun = number;
        }
        match line.strip_suffix('\\') {
            Some(part) => whole.push_str(part),
            None => {
                whole.push_str(line);
                all.extend(in_line(&whole).into_iter().map(|words| (begun, words)));
                whole.clear();
            }
        }
    }
    all
}

/// The commands of one line, at whatever place they stand: `setpriv … dimmer run …` has one, `sh -c 'exec dimmer …'` too.
fn in_line(line: &str) -> Vec<Words> {
    // What is no shell, such as a line of Rust, has no commands.
    let Some(words) = shlex::split(line.trim_start().trim_start_matches(STARTS)) else { return Vec::new() };
    let mut all = Vec::new();
    for part in parts(&words) {
        let begins = (0..part.len()).filter_map(|at| begin(part, at));
        all.extend(begins.map(|(name, rest)| {
            let mut words = vec![name.to_owned()];
            words.extend_from_slice(&part[rest..]);
            words
        }));
        let scripts = part.windows(2).filter(|pair| pair[0] == "-c");
        all.extend(scripts.flat_map(|pair| in_line(&pair[1])));
    }
    all
}

/// The words between `;`, `&&` and the like, up to where something is redirected.
fn parts(words: &[String]) -> Vec<&[String]> {
    let ends = |word: &String| matches!(word.as_str(), ";" | "&" | "&&" | "|" | "||");
    let whole = |part: &&[String]| !part.is_empty();
    let cut = |part| <[String]>::split(part, |word| is_redirection(word)).next().unwrap_or_default();
    words.split(ends).map(cut).filter(whole).collect()
}

fn is_redirection(word: &str) -> bool {
    word.trim_start_matches(|it: char| it.is_ascii_digit()).starts_with(['<', '>'])
}

/// The program that begins at a word, and the place of its first argument.
fn begin(words: &[String], at: usize) -> Option<(&'static str, usize)> {
    let cargo = words[0] == "cargo";
    let word = words[at].as_str();
    match word {
        // `cargo run -p dimmer-lab -- …`, and the alias of `.cargo/config.toml`.
        "dimmer-lab" if cargo && words.get(1).is_some_and(|it| it == "run") => {
            let end = words.iter().position(|it| it == "--")?;
            Some(("dimmer-lab", end + 1))
        }
        "demo" if cargo && at == 1 => Some(("dimmer-lab", at)),
        _ if cargo => None,
        "dimmer" => Some(("dimmer", at + 1)),
        "dimmer-lab" | VARIABLE => Some(("dimmer-lab", at + 1)),
        _ if at == 0 && word.ends_with("/dimmer") => Some(("dimmer", 1)),
        _ if at == 0 && word.ends_with("/dimmer-lab") => Some(("dimmer-lab", 1)),
        _ => None,
    }
}

#[test]
fn commands_are_found_wherever_they_stand() {
    let text = "x=1 setpriv --clear-groups dimmer run \\\n    --rng # dimmer ctl\n\
        $L check a ; dimmer-lab doctor > x/dimmer\ncargo run -q -p dimmer-lab -- check b\ncargo test -p dimmer-lab\n\
        dimmer-lab host -- sh -c 'f & exec dimmer run'\nExecStart=/usr/bin/dimmer run --nested\ncp target/dimmer x";
    let found: Vec<_> = commands(7, text).into_iter().map(|(line, words)| (line, words.join(" "))).collect();
    let found: Vec<_> = found.iter().map(|(line, words)| (*line, words.as_str())).collect();
    assert_eq!(
        found,
        [
            (7, "dimmer run --rng"),
            (9, "dimmer-lab check a"),
            (9, "dimmer-lab doctor"),
            (10, "dimmer-lab check b"),
            (12, "dimmer-lab host -- sh -c f & exec dimmer run"),
            (12, "dimmer run"),
            (13, "dimmer run --nested"),
        ]
    );
}
