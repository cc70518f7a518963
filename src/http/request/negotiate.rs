//! Content negotiation: the weights in `Accept` and `Accept-Encoding`.

use axum::http::{HeaderMap, HeaderName};

/// Returns the items of a header with their weights (RFC 9110, section 12.4.2). An item is in lower
/// case and keeps its parameters, except the weight.
pub(crate) fn weighed<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (String, f32)> + use<'a> {
    let values = headers.get_all(name).into_iter();
    let items = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|item| !item.trim().is_empty());
    items.map(|item| {
        let mut weight = 1.0;
        let mut rest = Vec::new();
        for part in item.split(';').map(str::trim) {
            match part.split_once('=') {
                Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                    weight = value.trim().parse().unwrap_or(0.0);
                }
                _ => rest.push(part.to_ascii_lowercase().replace(' ', "")),
            }
        }
        (rest.join(";"), weight)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;

    use super::*;

    #[test]
    fn items_keep_their_parameters_and_lose_their_weights() {
        let mut headers = HeaderMap::new();
        for value in [
            "text/plain; Version=0.0.4;q=0.3, */*;q=0.2",
            "br;Q=0 , gzip,, x;q=y",
        ] {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        let found: Vec<_> = weighed(&headers, &ACCEPT).collect();
        let expected = [
            ("text/plain;version=0.0.4", 0.3),
            ("*/*", 0.2),
            ("br", 0.0),
            ("gzip", 1.0),
            ("x", 0.0),
        ];
        let found: Vec<_> = found.iter().map(|(item, q)| (item.as_str(), *q)).collect();
        assert_eq!(found, expected);
    }
}
