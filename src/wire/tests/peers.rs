//! The codec on real streams: tungstenite as the server, and a stream upgraded by awc.

use std::io::{Read, Write};

use actix_codec::Framed;
use futures_util::{SinkExt, StreamExt};

use super::{compression::ServerDeflate, *};

#[actix_rt::test]
async fn talks_with_tungstenite() {
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{self, protocol::Role},
    };
    let (ours, theirs) = tokio::io::duplex(4096);
    let mut framed = Framed::new(ours, Codec::client(LIMIT, None));
    let mut peer = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    let echo = actix_rt::spawn(async move {
        peer.send(tungstenite::Message::Ping(Bytes::from_static(b"?")))
            .await
            .unwrap();
        while let Some(message) = peer.next().await {
            let message = message.unwrap();
            if message.is_text() || message.is_binary() {
                peer.send(message).await.unwrap();
            }
        }
    });
    let big = "é".repeat(100_000);
    let items = ["", "hello", big.as_str()];
    assert_eq!(
        framed.next().await.unwrap().unwrap(),
        Message::Ping(Bytes::from_static(b"?"))
    );
    framed
        .send(Outgoing::Pong(Bytes::from_static(b"?")))
        .await
        .unwrap();
    for item in items {
        let (mut sink, mut stream) = framed.split::<Outgoing>();
        let (sent, received) =
            futures_util::join!(sink.send(Outgoing::Text(item.into())), stream.next());
        sent.unwrap();
        assert_eq!(received.unwrap().unwrap(), text(item));
        framed = sink.reunite(stream).unwrap();
    }
    framed
        .send(Outgoing::Ping(Bytes::from_static(b"!")))
        .await
        .unwrap();
    assert_eq!(
        framed.next().await.unwrap().unwrap(),
        Message::Pong(Bytes::from_static(b"!"))
    );
    let reason = CloseReason::new(3000, "bye");
    framed
        .send(Outgoing::Close(Some(reason.clone())))
        .await
        .unwrap();
    assert_eq!(
        framed.next().await.unwrap().unwrap(),
        Message::Close(Some(reason))
    );
    assert!(framed.next().await.is_none());
    echo.await.unwrap();
}

/// What `wait` yields; a generous deadline turns a wait for ever into a failure.
async fn soon<T>(wait: impl Future<Output = T>) -> T {
    actix_rt::time::timeout(std::time::Duration::from_secs(30), wait)
        .await
        .unwrap()
}

/// Answers one handshake and sends `behind` in the same write as the response; then reads to the
/// end and answers what it read.
fn upgrade_server(behind: Vec<u8>) -> (std::net::SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let line = |name: &str| {
            head.lines()
                .find_map(|line| {
                    line.split_once(": ")
                        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                })
                .map(|(_, value)| value.to_owned())
        };
        assert_eq!(
            line("sec-websocket-extensions"),
            Some(Offer::default().header())
        );
        let accept = actix_http::ws::hash_key(line("sec-websocket-key").unwrap().as_bytes());
        let mut response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
            Sec-WebSocket-Accept: "
            .to_vec();
        response.extend_from_slice(&accept);
        response.extend_from_slice(b"\r\n\r\n");
        response.extend_from_slice(&behind);
        socket.write_all(&response).unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        rest
    });
    (address, server)
}

#[actix_rt::test]
async fn takes_over_an_upgraded_stream_of_awc() {
    let packed = ServerDeflate::new(false, 15).pack(b"compressed greeting");
    let behind = [
        frame(FIN | TEXT, b"greeting"),
        frame(FIN | RSV1 | TEXT, &packed),
    ]
    .concat();
    let (address, server) = upgrade_server(behind);

    let offer = Offer::default();
    let (response, framed) = awc::Client::new()
        .ws(format!("http://{address}/"))
        .set_header("Sec-WebSocket-Extensions", offer.header())
        .connect()
        .await
        .unwrap();
    let answer = response.headers().get_all("Sec-WebSocket-Extensions");
    let deflate = negotiate(Some(&offer), answer.map(|value| value.as_bytes())).unwrap();
    assert!(deflate.is_some());
    let mut framed = attach(framed, Codec::client(LIMIT, deflate));

    // The server sends nothing more: both must come out of what was read with the response.
    assert_eq!(
        soon(framed.next()).await.unwrap().unwrap(),
        text("greeting")
    );
    assert_eq!(
        framed.next().await.unwrap().unwrap(),
        text("compressed greeting")
    );
    framed.send(Outgoing::Text("reply".into())).await.unwrap();
    framed.send(Outgoing::Close(None)).await.unwrap();
    drop(framed);
    let mut sent = BytesMut::from(server.join().unwrap().as_slice());
    assert_eq!(
        read_client_frame(&mut sent),
        (FIN | TEXT, b"reply".to_vec())
    );
    assert_eq!(read_client_frame(&mut sent), (FIN | CLOSE, Vec::new()));
}
