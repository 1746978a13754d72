//! The files of the dashboard, embedded at build time: the daemon serves nothing from disk.

/// Path, content type and body of each file of the page.
macro_rules! page {
    ($($name:literal $kind:ident),+ $(,)?) => {
        &[$((concat!("/static/", $name), $kind, include_bytes!(concat!("../../../static/", $name)))),+]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// A static path, its content type and what is there.
type File = (&'static str, &'static str, &'static [u8]);

const FILES: &[File] = page![
    "dashboard.html" HTML,
    "dashboard.css" CSS,
    "theme.js" JS,
    "dashboard.js" JS,
    "cards.js" JS,
    "charts.js" JS,
    "colours.js" JS,
    "csv.js" JS,
    "dom.js" JS,
    "format.js" JS,
    "frame.js" JS,
    "graphs.js" JS,
    "groups.js" JS,
    "history.js" JS,
    "numbers.js" JS,
    "panels.js" JS,
    "plots.js" JS,
    "results.js" JS,
    "scale.js" JS,
    "series.js" JS,
    "store.js" JS,
    "stream.js" JS,
    "tip.js" JS,
    "view.js" JS,
];

/// Content type and body of a static path.
pub fn find(path: &str) -> Option<(&'static str, &'static [u8])> {
    let path = match path {
        "/" | "/dashboard.html" => "/static/dashboard.html",
        "/openapi.json" => {
            return Some(("application/json; charset=utf-8", include_bytes!("../../../static/openapi.json")));
        }
        other => other,
    };
    FILES.iter().find(|(known, _, _)| *known == path).map(|&(_, kind, body)| (kind, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is imported and not embedded would leave the page blank.
    #[test]
    fn what_the_page_refers_to_is_embedded() {
        let mut references = 0;
        for (path, _, body) in FILES {
            let text = std::str::from_utf8(body).unwrap();
            let imports =
                text.split(" from './").skip(1).map(|rest| format!("/static/{}", until_quote(rest)));
            let links =
                text.split("=\"/static/").skip(1).map(|rest| format!("/static/{}", until_quote(rest)));
            for reference in imports.chain(links) {
                assert!(find(&reference).is_some(), "{path} refers to {reference}");
                references += 1;
            }
        }
        assert!(references > FILES.len(), "{references} references");
    }

    fn until_quote(text: &str) -> &str {
        text.split(['\'', '"']).next().unwrap_or("")
    }
}
