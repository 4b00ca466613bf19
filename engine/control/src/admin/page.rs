//! The status page: plain HTML, no script, nothing from outside.

use std::fmt::Write;

use super::View;

/// How much of it a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Nothing that the configuration says.
    Public,
    Full,
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Ringway</title>\
<meta name=\"viewport\" content=\"width=device-width\"><style>\
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
td,th{text-align:left;padding:.2rem 1rem .2rem 0}</style><h1>Ringway</h1>";

pub(super) fn render(view: &View, detail: Detail) -> String {
    let mut out = HEAD.to_owned();
    let _ = write!(out, "<p>Version {}, {}.</p>", escape(view.version), view.health.phase().name());
    if detail == Detail::Full {
        write_detail(&mut out, view);
    }
    out.push_str("<h2>Pages</h2><ul>");
    for link in ["/readyz", "/livez", "/metrics"] {
        let _ = write!(out, "<li><a href=\"{link}\">{link}</a>");
    }
    for name in super::api::names() {
        let _ = write!(out, "<li>/api/v1/{name} (with the admin token)");
    }
    out.push_str("</ul></html>\n");
    out
}

fn write_detail(out: &mut String, view: &View) {
    for (part, reason) in view.health.reasons() {
        let _ = write!(out, "<p><b>Degraded: {}</b>: {}</p>", part.name(), escape(&reason));
    }
    let snapshot = view.publisher.current();
    let _ = write!(out, "<p>Driver {}, {} shards, configuration {}.</p>", view.driver, view.shards.len(), snapshot.revision);
    out.push_str("<h2>Providers</h2><table><tr><th>name<th>where<th>keys");
    for upstream in &snapshot.providers {
        let place = if upstream.builtin { "built in" } else { &upstream.endpoint.authority };
        let _ = write!(out, "<tr><td>{}<td>{}<td>{}", escape(&upstream.name), escape(place), upstream.credentials.len());
    }
    out.push_str("</table><h2>Routes</h2><ul>");
    let config = view.served.load();
    for (name, route) in config.routes.iter() {
        let targets: Vec<&str> = route.targets.iter().map(|target| target.model.value.as_str()).collect();
        let _ = write!(out, "<li>{}: {}", escape(&name.value), escape(&targets.join(", ")));
    }
    out.push_str("</ul>");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}
