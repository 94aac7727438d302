//! What a page is made of. It is all in the program: a page loads nothing from elsewhere.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The page of machines.
pub const LIVE: &str = include_str!("page/live.html");
/// The playground.
pub const PLAYGROUND: &str = include_str!("page/playground.html");

/// Style sheets and scripts, by their names in the pages.
const FILES: [(&str, &str); 16] = [
    ("icon.svg", include_str!("page/icon.svg")),
    ("page.css", crate::page::STYLE),
    ("style.css", include_str!("page/style.css")),
    ("dom.js", include_str!("page/dom.js")),
    ("rows.js", include_str!("page/rows.js")),
    ("map.js", include_str!("page/map.js")),
    ("panes.js", include_str!("page/panes.js")),
    ("timeline.js", include_str!("page/timeline.js")),
    ("events.js", include_str!("page/events.js")),
    ("deeds.js", include_str!("page/deeds.js")),
    ("live.js", include_str!("page/live.js")),
    ("server.js", include_str!("page/server.js")),
    ("standalone.js", include_str!("page/standalone.js")),
    ("worker.js", include_str!("page/worker.js")),
    ("editor.js", include_str!("page/editor.js")),
    ("playground.js", include_str!("page/playground.js")),
];

/// The text of a file of the page.
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(other, _)| *other == name).map(|(_, text)| *text)
}

/// A file of the page.
pub fn answer(name: &str) -> Response {
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    match text(name) {
        Some(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_load_their_own_files_alone_and_have_no_script_or_style_in_them() {
        for (page, first) in [(LIVE, "live.js"), (PLAYGROUND, "playground.js")] {
            assert!(page.contains(&format!("assets/{first}")));
            for piece in page.split(['"', '\'']).filter(|piece| piece.starts_with("/assets/")) {
                let name = piece.trim_start_matches("/assets/");
                assert!(text(name).is_some(), "{name}");
            }
            for script in page.split("<script").skip(1) {
                assert!(script.starts_with(" src=\"/assets/") && script.contains("></script>"), "{script}");
            }
            for other in ["<style", " style=", " onclick=", "http://", "https://", "javascript:"] {
                assert!(!page.contains(other), "{other}");
            }
        }
        for (name, text) in FILES {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for other in ["http://", "https://", "innerHTML", "eval(", "document.write", "@import"] {
                assert!(!text.contains(other), "{name}: {other}");
            }
        }
    }
}
