//! What a connection is made from: URL, headers, sub-protocols, TLS, proxy.

use super::*;

#[test]
fn urls() {
    for good in [
        "ws://h",
        "wss://h:443/p?q=1",
        "WSS://example.com",
        "ws://127.0.0.1:80/",
        "ws://[::1]:1/",
        "ws://u:p@h/",
        "$script:u/a/url",
        "$flow:f/b/url",
        "wss://h/?t=$var:u/a/t",
        "$var:f/x/url",
        "{{vars.url|raw}}",
        "wss://h/?c={{vars.cursor|urlencode}}",
    ] {
        assert!(read(&json!({"url": good})).is_ok(), "{good}");
    }
    for empty in ["", "  "] {
        assert_eq!(
            read(&json!({"url": empty})),
            Err("WebSocket URL cannot be empty".to_owned())
        );
    }
    for (bad, error) in [
        (
            "http://h",
            "url: must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
        ),
        (
            "example.com",
            "url: must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
        ),
        (
            "ws:/h",
            "url: must start with ws:// or wss://, or be $script:<path> or $flow:<path>",
        ),
        ("ws://", "url: is not a valid URL (empty host)"),
        (
            "ws://h:99999/",
            "url: is not a valid URL (invalid port number)",
        ),
        ("ws://h:0/", "url: port 0 cannot be connected to"),
        ("ws:///p", "url: has no host"),
        (r"wss://\h", "url: has no host"),
        (
            "ws://h/a b",
            "url: holds a space or control character; encode it, like %20",
        ),
        (
            " ws://h",
            "url: holds a space or control character; encode it, like %20",
        ),
    ] {
        assert_eq!(read(&json!({"url": bad})), Err(error.to_owned()), "{bad}");
    }
    for bad in [
        "$script:x",
        "$script:",
        "$flow:f/a",
        "wss://h/?t=$var:x",
        "wss://h/{{",
        "wss://h/{{a b}}",
    ] {
        assert!(
            read(&json!({"url": bad})).unwrap_err().starts_with("url: "),
            "{bad}"
        );
    }
    let long = format!("ws://h/{}", "x".repeat(9_000));
    assert_eq!(
        read(&json!({"url": long})),
        Err("url: is longer than 8192 bytes".to_owned())
    );
    let url = plan(&json!({"url": "$flow:f/b/url", "url_runnable_args": {"a": 1}})).url;
    let UrlSource::Runnable(runnable) = url else {
        panic!("{url:?}")
    };
    assert_eq!(
        serde_json::to_value(runnable).unwrap(),
        json!({"path": "f/b/url", "args": {"a": 1}, "is_flow": true})
    );
}

#[test]
fn handshake_fields_are_checked() {
    let long: Vec<String> = (0..33).map(|n| format!("p{n}")).collect();
    for (extra, error) in [
        (
            json!({"headers": {"a b": ""}}),
            "headers.a b: is not a header name",
        ),
        (
            json!({"headers": {"": ""}}),
            "headers.: is not a header name",
        ),
        (
            json!({"headers": {"A": "x", "a": "y"}}),
            "headers.a: is given twice",
        ),
        (
            json!({"headers": {"Upgrade": "x"}}),
            "headers.Upgrade: is set by the handshake itself",
        ),
        (
            json!({"headers": {"Sec-WebSocket-Protocol": "x"}}),
            "headers.Sec-WebSocket-Protocol: is set by the field",
        ),
        (
            json!({"headers": {"A": "x\r\nB: y"}}),
            "headers.A: a header's value holds no control characters",
        ),
        (json!({"headers": {"A": "{{ x"}}), "headers.A: template: "),
        (
            json!({"headers": {"A": "$var:"}}),
            "headers.A: after $var: ",
        ),
        (
            json!({"subprotocols": ["a", "b c"]}),
            "subprotocols[1]: is not a sub-protocol",
        ),
        (
            json!({"subprotocols": [""]}),
            "subprotocols[0]: is not a sub-protocol",
        ),
        (
            json!({"subprotocols": ["a\n"]}),
            "subprotocols[0]: is not a sub-protocol",
        ),
        (
            json!({"subprotocols": ["a", "b", "a"]}),
            "subprotocols[2]: 'a' is given twice",
        ),
        (
            json!({"subprotocols": long}),
            "subprotocols: has more than 32 items",
        ),
        (json!({"proxy": "socks5://h"}), "proxy: expected http://"),
        (json!({"proxy": "h:3128"}), "proxy: expected http://"),
        (
            json!({"tls": {"ca_pem": "abc"}}),
            "tls.ca_pem: expected PEM text",
        ),
        (
            json!({"tls": {"ca_pem": "$var:u/a/ca more"}}),
            "tls.ca_pem: ",
        ),
        (
            json!({"tls": {"client_cert_pem": "$var:u/a/c"}}),
            "tls: client_cert_pem and client_key_pem go together",
        ),
    ] {
        let message = read(&extra).unwrap_err();
        assert!(message.starts_with(error), "{extra}: {message}");
    }
    let plan = plan(&json!({
        "headers": {"Authorization": "Bearer $var:u/a/t", "X-C": "{{vars.c}}"}, "subprotocols": ["graphql-ws", "v1.a"],
        "tls": {"ca_pem": "-----BEGIN CERTIFICATE-----\n", "client_cert_pem": "$var:u/a/c", "client_key_pem": "$var:u/a/k"},
        "proxy": "http://u:p@proxy:3128", "url": "wss://h/$var:f/x/y", "connect_rate": 0.5,
    }));
    assert_eq!(plan.subprotocols, ["graphql-ws", "v1.a"]);
    assert_eq!(
        plan.tls.ca,
        Some(PemSource::Text("-----BEGIN CERTIFICATE-----\n".to_owned()))
    );
    assert_eq!(
        plan.tls.client_key,
        Some(PemSource::Variable("u/a/k".parse().unwrap()))
    );
    let names: Vec<String> = plan.variables().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["f/x/y", "u/a/c", "u/a/k", "u/a/t"]);
}
