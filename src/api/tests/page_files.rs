//! The files of the page: compressed, kept by browsers as long as they are the same.

use std::io::Read;

use flate2::read::GzDecoder;

use super::*;

/// What is answered: status, a header's text by its name, and the body as it travelled.
struct File {
    status: u16,
    headers: header::HeaderMap,
    body: Vec<u8>,
}

impl File {
    async fn get(bench: &Bench, path: &str, more: Option<(header::HeaderName, &str)>) -> Self {
        let mut request = TestRequest::with_uri(path).insert_header((header::HOST, "127.0.0.1:1"));
        if let Some(header) = more {
            request = request.insert_header(header);
        }
        let answer = bench.send(request).await;
        Self {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: to_bytes(answer.into_body()).await.unwrap().to_vec(),
        }
    }

    fn header(&self, name: header::HeaderName) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn unpacked(&self) -> String {
        let mut text = String::new();
        let mut reader = GzDecoder::new(&*self.body);
        reader.read_to_string(&mut text).unwrap();
        text
    }
}

#[actix_rt::test]
async fn files_are_sent_small_and_once() {
    let bench = Bench::new().await;
    let zipped = Some((header::ACCEPT_ENCODING, "gzip, deflate, br"));
    let index = File::get(&bench, "/triggers/new", zipped.clone()).await;
    assert_eq!(index.status, 200);
    assert_eq!(index.header(header::CONTENT_ENCODING), "gzip");
    assert_eq!(index.header(header::CACHE_CONTROL), "no-cache");
    assert_eq!(index.header(header::VARY), "accept-encoding");
    let text = index.unpacked();
    let start = text.find("/v/").unwrap();
    let version = &text[start..start + "/v/0123456789abcdef".len()];
    // Everything the page names is named with the version, so that nothing is asked for again.
    for (at, _) in text.match_indices("=\"/") {
        let address = text[at + 2..].split('"').next().unwrap();
        let is_file = address.rsplit('/').next().unwrap().contains('.');
        assert!(!is_file || address.starts_with(version), "{address}");
    }

    let address = format!("{version}/js/pages/home.js");
    let file = File::get(&bench, &address, zipped.clone()).await;
    let kept = file.header(header::CACHE_CONTROL);
    assert_eq!(kept, "public, max-age=31536000, immutable");
    let plain = File::get(&bench, &address, None).await;
    assert_eq!(plain.header(header::CONTENT_ENCODING), "");
    assert_eq!(plain.body, file.unpacked().into_bytes());
    assert!(file.body.len() < plain.body.len());

    // A page of another release gets what there is, and asks again.
    let other = "/v/0000000000000000/js/pages/home.js";
    let other = File::get(&bench, other, None).await;
    assert_eq!(other.header(header::CACHE_CONTROL), "no-cache");
    assert_eq!(other.body, plain.body);
    for (path, tag) in [("/", &index), (&address, &file)] {
        let tag = tag.header(header::ETAG);
        let known = Some((header::IF_NONE_MATCH, tag));
        let again = File::get(&bench, path, known).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let missing = File::get(&bench, "/v/0000000000000000/js/none.js", None).await;
    assert_eq!(missing.status, 404);
}
