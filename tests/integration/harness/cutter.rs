//! `Cutter`: a cable between windsock and a server, which a test can cut, black-hole and mend.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
};

use actix::clock::sleep;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::{JoinHandle, spawn_local},
};

/// How often a black hole looks whether it is one still.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cable {
    Whole,
    /// Connections are reset, new ones too.
    Cut,
    /// Bytes are neither taken nor given, in both directions; nobody is told.
    BlackHole,
}

/// What the cable does to what passes.
struct State {
    cable: Cell<Cable>,
    /// Words that get through and whose answer does not, and how often yet.
    unanswered: Cell<(&'static [u8], usize)>,
}

impl State {
    /// Whether these bytes are the next to stay without an answer.
    fn loses_answer_to(&self, bytes: &[u8]) -> bool {
        let (words, times) = self.unanswered.get();
        let lost = times > 0 && bytes.windows(words.len()).any(|window| window == words);
        if lost {
            self.unanswered.set((words, times - 1));
        }
        lost
    }
}

/// A TCP proxy on 127.0.0.1. Lives on the test's own thread.
pub struct Cutter {
    address: SocketAddr,
    state: Rc<State>,
    connections: Rc<RefCell<Vec<JoinHandle<()>>>>,
    accepting: JoinHandle<()>,
}

impl Cutter {
    /// A whole cable to `port` of 127.0.0.1.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = Rc::new(State {
            cable: Cell::new(Cable::Whole),
            unanswered: Cell::new((b"", 0)),
        });
        let connections = Rc::new(RefCell::new(Vec::new()));
        let (of_all, open) = (state.clone(), connections.clone());
        let accepting = spawn_local(async move {
            while let Ok((near, _)) = listener.accept().await {
                if of_all.cable.get() == Cable::Cut {
                    continue; // dropped: the caller sees the connection end
                }
                let state = of_all.clone();
                let pass = spawn_local(async move { pass(near, port, state).await });
                open.borrow_mut().push(pass);
            }
        });
        Self {
            address,
            state,
            connections,
            accepting,
        }
    }

    /// The port to connect to instead.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends every connection at once and takes no new one.
    pub fn cut(&self) {
        self.state.cable.set(Cable::Cut);
        for connection in self.connections.borrow_mut().drain(..) {
            connection.abort();
        }
    }

    /// Stops passing bytes without telling anyone: a half-open line.
    pub fn black_hole(&self) {
        self.state.cable.set(Cable::BlackHole);
    }

    /// Makes it whole again; what a black hole has held back passes.
    pub fn mend(&self) {
        self.state.cable.set(Cable::Whole);
    }

    /// The next `times` connections on which somebody says `words` (whole, in one piece and not encrypted) end before
    /// anything comes back, and after the words have come through.
    pub fn lose_answers_to(&self, words: &'static str, times: usize) {
        self.state.unanswered.set((words.as_bytes(), times));
    }

    /// How many answers [`Self::lose_answers_to`] is still to lose.
    pub fn answers_to_lose(&self) -> usize {
        self.state.unanswered.get().1
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn pass(near: TcpStream, port: u16, state: Rc<State>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let deaf = Cell::new(false);
    let up = pump(near_in, far_out, &state, |bytes| {
        deaf.set(deaf.get() || state.loses_answer_to(bytes));
        true
    });
    let down = pump(far_in, near_out, &state, |_| !deaf.get());
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    tokio::select! {
        () = &mut up => down.await,
        // Dropped in the midst of it when an answer is lost: both sides see the connection end.
        () = &mut down => if !deaf.get() { up.await },
    }
}

/// Passes bytes on until the end, or until `hear` says that they are lost.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    mut hear: impl FnMut(&[u8]) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !hear(&buffer[..count]) {
            return;
        }
        while state.cable.get() == Cable::BlackHole {
            sleep(LOOK_AGAIN).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
