//! The load: a WebSocket server in a process of its own, told what to send through its stdin.
//!
//! Frames are written by hand and in large pieces, so that the source never is what is measured. Commands, one a
//! line, each answered by one line: `flood <messages>`, `pace <per second> <messages>`, `trickle <seconds>`,
//! `count`, `drop`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// Frames in one piece of a flood.
const PIECE: u64 = 500;

/// Messages a second up to which a timer keeps the pace; above it the source looks at the clock again and again.
const EVEN_BY_TIMER: u64 = 2_000;

/// How long replies may be late after the last message was sent.
const LAST_REPLY: Duration = Duration::from_secs(10);

/// A source as the benchmark sees it. Ended when dropped.
pub struct Source {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    port: String,
}

impl Source {
    /// Starts it on a port of its own.
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg("source")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the source can be started");
        let input = child.stdin.take().expect("stdin is piped");
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut port = String::new();
        output
            .read_line(&mut port)
            .expect("the source tells its port");
        let port = port.trim().to_owned();
        Self {
            child,
            input,
            output,
            port,
        }
    }

    /// Where to connect.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Lets the source do something and waits until it is done; gives its answer.
    pub fn tell(&mut self, command: &str) -> Value {
        writeln!(self.input, "{command}").expect("the source listens to commands");
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the source answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{command}: {error}: {line}"))
    }

    /// Open connections.
    pub fn count(&mut self) -> u64 {
        self.number("connections")
    }

    /// Connections ever made.
    pub fn accepted(&mut self) -> u64 {
        self.number("accepted")
    }

    fn number(&mut self, name: &str) -> u64 {
        self.tell("count")[name].as_u64().expect("a number")
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Text number `n` of a feed: about 200 bytes of a ticker, with what [`pace`] measures by.
pub fn text(n: u64, at: u64) -> String {
    format!(
        r#"{{"e":"trade","E":{at},"s":"BTCUSDT","t":{n},"p":"{}.{:04}0000","q":"0.{:06}00","b":{},"a":{},"T":{at},"m":{},"M":true,"x":{{"venue":"spot","tier":2}},"note":"as the exchange sends it"}}"#,
        60_000 + n % 997,
        n % 9_973,
        n % 999_983,
        880_000_000 + n,
        870_000_000 + n,
        n.is_multiple_of(2)
    )
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

/// A whole unmasked text frame, as servers send it.
fn frame(text: &str, into: &mut Vec<u8>) {
    into.push(0x81);
    match u16::try_from(text.len()).expect("short texts") {
        short if short < 126 => into.push(short as u8),
        longer => {
            into.push(126);
            into.extend_from_slice(&longer.to_be_bytes());
        }
    }
    into.extend_from_slice(text.as_bytes());
}

enum Order {
    Flood(Arc<Vec<Vec<u8>>>, u64),
    Pace { rate: u64, messages: u64 },
    One(u64),
    Close,
}

/// Connections this source has ever made.
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

type Connections = Arc<Mutex<Vec<mpsc::Sender<(Order, oneshot::Sender<Value>)>>>>;

/// The source's own process.
pub fn serve() {
    super::measure::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        println!("{}", listener.local_addr().expect("it is bound").port());
        let connections = Connections::default();
        tokio::spawn(accept(listener, Arc::clone(&connections)));
        let (sender, mut commands) = mpsc::channel(1);
        std::thread::spawn(move || {
            let lines = std::io::stdin().lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.blocking_send(line)));
        });
        while let Some(line) = commands.recv().await {
            println!("{}", obey(&line, &connections).await);
        }
    });
}

async fn accept(listener: TcpListener, connections: Connections) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let connections = Arc::clone(&connections);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(socket) = accept_async(stream).await {
                let (sender, orders) = mpsc::channel(4);
                ACCEPTED.fetch_add(1, Ordering::Relaxed);
                connections.lock().expect("no holder panics").push(sender);
                talk(socket, orders).await;
            }
        });
    }
}

async fn obey(line: &str, connections: &Connections) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| {
        words
            .get(index)
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let open = {
        let mut open = connections.lock().expect("no holder panics");
        open.retain(|connection| !connection.is_closed());
        open.clone()
    };
    let newest = || open.last().cloned().expect("a connection to send on");
    match words[0] {
        "count" => json!({"connections": open.len(), "accepted": ACCEPTED.load(Ordering::Relaxed)}),
        "flood" => {
            let pieces = (0..20).map(|piece| {
                let mut bytes = Vec::new();
                (0..PIECE).for_each(|n| frame(&text(piece * PIECE + n, now()), &mut bytes));
                bytes
            });
            order(
                &newest(),
                Order::Flood(Arc::new(pieces.collect()), number(1)),
            )
            .await
        }
        "pace" => {
            order(
                &newest(),
                Order::Pace {
                    rate: number(1),
                    messages: number(2),
                },
            )
            .await
        }
        "trickle" => {
            // One message on each connection in ten seconds, evenly spread.
            let end = Instant::now() + Duration::from_secs(number(1));
            let pause = Duration::from_secs(10)
                / u32::try_from(open.len().max(1)).expect("few connections");
            let mut next = tokio::time::interval(pause);
            for n in 0.. {
                next.tick().await;
                if Instant::now() > end {
                    break;
                }
                let (done, _) = oneshot::channel();
                let _ = open[n % open.len()]
                    .send((Order::One(n as u64), done))
                    .await;
            }
            json!({})
        }
        "drop" => {
            for connection in &open {
                let (done, _) = oneshot::channel();
                let _ = connection.send((Order::Close, done)).await;
            }
            json!({"connections": open.len()})
        }
        other => json!({"error": format!("unknown command {other}")}),
    }
}

async fn order(connection: &mpsc::Sender<(Order, oneshot::Sender<Value>)>, order: Order) -> Value {
    let (done, answer) = oneshot::channel();
    let _ = connection.send((order, done)).await;
    answer
        .await
        .unwrap_or_else(|_| json!({"error": "the connection has ended"}))
}

async fn talk(
    mut socket: WebSocketStream<TcpStream>,
    mut orders: mpsc::Receiver<(Order, oneshot::Sender<Value>)>,
) {
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((order, done)) = order else { return };
                let answer = match order {
                    Order::Flood(pieces, messages) => flood(&mut socket, &pieces, messages).await,
                    Order::Pace { rate, messages } => pace(&mut socket, rate, messages).await,
                    Order::One(n) => {
                        let mut bytes = Vec::new();
                        frame(&text(n, now()), &mut bytes);
                        let _ = socket.get_mut().write_all(&bytes).await;
                        json!({})
                    }
                    Order::Close => return,
                };
                let _ = done.send(answer);
            }
            message = socket.next() => {
                if !matches!(message, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}

async fn flood(
    socket: &mut WebSocketStream<TcpStream>,
    pieces: &[Vec<u8>],
    messages: u64,
) -> Value {
    let start = Instant::now();
    for piece in 0..messages / PIECE {
        let bytes = &pieces[piece as usize % pieces.len()];
        if socket.get_mut().write_all(bytes).await.is_err() {
            return json!({"error": "the connection has ended"});
        }
    }
    json!({"seconds": start.elapsed().as_secs_f64()})
}

/// One message a write at an even rate. A reply is JSON with the number `t` of its message, and may say when its
/// script began (`start`, milliseconds since 1970). All times are given in milliseconds.
async fn pace(socket: &mut WebSocketStream<TcpStream>, rate: u64, messages: u64) -> Value {
    let mut sent_at = vec![0_u64; messages as usize];
    let (mut answered, mut began) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let mut sent = 0;
    let mut last_sent = Instant::now();
    loop {
        let due = start.elapsed().as_nanos() as u64 * rate / 1_000_000_000 + 1;
        if sent < messages && sent < due {
            sent_at[sent as usize] = now();
            let mut bytes = Vec::new();
            frame(&text(sent, sent_at[sent as usize]), &mut bytes);
            if socket.get_mut().write_all(&bytes).await.is_err() {
                return json!({"error": "the connection has ended"});
            }
            sent += 1;
            last_sent = Instant::now();
            continue;
        }
        if sent == messages
            && (answered.len() as u64 == messages || last_sent.elapsed() > LAST_REPLY)
        {
            break;
        }
        // A timer of the runtime ends with a millisecond: above some hundred messages a second they would come in bunches.
        let answer = if rate > EVEN_BY_TIMER {
            tokio::task::yield_now().await;
            socket.next().now_or_never()
        } else {
            let pause = Duration::from_micros(200);
            tokio::time::timeout(pause, socket.next()).await.ok()
        };
        let Some(message) = answer else {
            if sent == messages && rate > EVEN_BY_TIMER && answered.is_empty() {
                break;
            }
            continue;
        };
        match message {
            Some(Ok(Message::Text(reply))) => {
                let at = now();
                let reply: Value = serde_json::from_str(&reply).unwrap_or_default();
                let Some(&sent_at) = reply["t"].as_u64().and_then(|n| sent_at.get(n as usize))
                else {
                    continue;
                };
                answered.push((at - sent_at) as f64 / 1e6);
                if let Some(start) = reply["start"].as_f64() {
                    began.push(start - sent_at as f64 / 1e6);
                }
            }
            Some(Ok(_)) => {}
            _ => return json!({"error": "the connection has ended"}),
        }
    }
    answered.sort_by(f64::total_cmp);
    began.sort_by(f64::total_cmp);
    json!({"seconds": start.elapsed().as_secs_f64(), "answered": answered, "began": began})
}
