//! The files of the dashboard, embedded at build time: the daemon serves nothing from disk.

/// Content type and body of a static path.
pub fn find(path: &str) -> Option<(&'static str, &'static [u8])> {
    const HTML: &str = "text/html; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    Some(match path {
        "/" | "/dashboard.html" | "/static/dashboard.html" => {
            (HTML, include_bytes!("../../../static/dashboard.html"))
        }
        "/static/dashboard.css" => (CSS, include_bytes!("../../../static/dashboard.css")),
        "/static/dashboard.js" => (JS, include_bytes!("../../../static/dashboard.js")),
        "/openapi.json" => {
            ("application/json; charset=utf-8", include_bytes!("../../../static/openapi.json"))
        }
        _ => return None,
    })
}
