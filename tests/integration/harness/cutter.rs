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

/// A TCP proxy on 127.0.0.1. Lives on the test's own thread.
pub struct Cutter {
    address: SocketAddr,
    cable: Rc<Cell<Cable>>,
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
        let cable = Rc::new(Cell::new(Cable::Whole));
        let connections = Rc::new(RefCell::new(Vec::new()));
        let (state, open) = (cable.clone(), connections.clone());
        let accepting = spawn_local(async move {
            while let Ok((near, _)) = listener.accept().await {
                if state.get() == Cable::Cut {
                    continue; // dropped: the caller sees the connection end
                }
                let state = state.clone();
                let pass = spawn_local(async move { pass(near, port, state).await });
                open.borrow_mut().push(pass);
            }
        });
        Self {
            address,
            cable,
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
        self.cable.set(Cable::Cut);
        for connection in self.connections.borrow_mut().drain(..) {
            connection.abort();
        }
    }

    /// Stops passing bytes without telling anyone: a half-open line.
    pub fn black_hole(&self) {
        self.cable.set(Cable::BlackHole);
    }

    /// Makes it whole again; what a black hole has held back passes.
    pub fn mend(&self) {
        self.cable.set(Cable::Whole);
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn pass(near: TcpStream, port: u16, cable: Rc<Cell<Cable>>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(
        pump(near_in, far_out, &cable),
        pump(far_in, near_out, &cable)
    );
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cable: &Cell<Cable>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        while cable.get() == Cable::BlackHole {
            sleep(LOOK_AGAIN).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
