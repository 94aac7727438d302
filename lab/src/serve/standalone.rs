//! The playground as one file that needs no server, to be mailed or to lie anywhere: its style sheets, its scripts and the oracle,
//! as a module of wasm, are in it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::assets::{PLAYGROUND, text};

/// What asks a server, and what stands in its place.
const ASKS: (&str, &str) = ("server.js", "standalone.js");
/// The link to what only a server has.
const HOME: &str = "id=\"home\"";

/// The page, with the oracle as this module.
pub fn page(module: &[u8]) -> String {
    let (mut page, mut styles, mut scripts) = (String::new(), Vec::new(), Vec::new());
    for line in PLAYGROUND.lines().filter(|line| !line.contains(HOME)) {
        match asset(line) {
            None => page.extend([line, "\n"]),
            Some(name) if name.ends_with(".css") => styles.push(file(name)),
            Some(name) if name.ends_with(".js") => {
                scripts.push(file(if name == ASKS.0 { ASKS.1 } else { name }));
            }
            Some(picture) => {
                let picture = BASE64_STANDARD.encode(file(picture));
                page.push_str(&format!(
                    "  <link rel=\"icon\" href=\"data:image/svg+xml;base64,{picture}\">\n"
                ));
            }
        }
    }
    let all = |tag: &str, texts: &[&str]| -> String {
        texts.iter().map(|text| format!("<{tag}>{text}</{tag}>\n")).collect()
    };
    let rules = format!(
        "  <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n",
        policy(&scripts, &styles)
    );
    let data = [("worker", file("worker.js").to_owned()), ("module", BASE64_STANDARD.encode(module))];
    let data: String = data
        .iter()
        .map(|(id, text)| format!("<script type=\"text/plain\" id=\"{id}\">{text}</script>\n"))
        .collect();
    let maker = format!("  <meta name=\"generator\" content=\"dimmer-lab {}\">\n", env!("CARGO_PKG_VERSION"));
    // The rules stand before all that they are about.
    page.replacen("  <title>", &format!("{rules}{maker}  <title>"), 1)
        .replacen("</head>", &format!("{}</head>", all("style", &styles)), 1)
        .replacen("</body>", &format!("{data}{}</body>", all("script", &scripts)), 1)
}

/// The file of the page's that a line loads.
fn asset(line: &str) -> Option<&str> {
    line.split_once("\"/assets/")?.1.split('"').next()
}

fn file(name: &str) -> &'static str {
    text(name).expect("a test sees to it that pages load what there is")
}

/// What the browser may do: run these scripts and the module, use these styles, and talk to nobody.
fn policy(scripts: &[&str], styles: &[&str]) -> String {
    let hash = |text: &&str| format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())));
    let (scripts, styles): (String, String) =
        (scripts.iter().map(hash).collect(), styles.iter().map(hash).collect());
    format!(
        "default-src 'none'; script-src 'wasm-unsafe-eval'{scripts}; style-src{styles}; worker-src blob:; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_page_is_in_it() {
        let page = page(b"\0asm");
        for other in ["/assets/", "src=", "http://", "https://", "url(", "href=\"/", "fetch(path, request)}"]
        {
            let page = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!page.contains(other), "{other}");
        }
        assert!(page.contains("<script type=\"text/plain\" id=\"module\">AGFzbQ==</script>"));
        let policy = page.split("Content-Security-Policy").nth(1).unwrap();
        let hashes = policy.split('"').nth(2).unwrap().matches("'sha256-").count();
        assert_eq!(page.matches("<script>").count() + page.matches("<style>").count(), hashes);
        assert!(page.find("Content-Security-Policy") < page.find("<style>"));
    }

    /// What would end a script or a style in the middle.
    #[test]
    fn no_file_has_the_end_of_its_element_in_it() {
        for name in ["worker.js", "standalone.js", "page.css"] {
            assert!(!file(name).contains("</"), "{name}");
        }
        let page = page(b"");
        assert_eq!(page.matches("<script").count(), page.matches("</script").count());
        assert_eq!(page.matches("<style").count(), page.matches("</style").count());
    }
}
