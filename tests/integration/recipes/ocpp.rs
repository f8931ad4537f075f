//! A charge point behind a sub-protocol, a password and a certificate, on a library that checks every message.

use serde_json::json;

use super::Recipe;
use crate::harness::{Authority, Database, Peer, on_both_databases};

on_both_databases!(needs: [Need::Peer], tests: [ocpp_charge_point]);

async fn ocpp_charge_point(database: Database) {
    let authority = Authority::new();
    let (cert, key) = authority.files("127.0.0.1");
    let ca = authority.ca_file();
    let options = ["--cert", &cert, "--key", &key, "--client-ca", &ca];
    let mut peer = Peer::play("ocpp_csms.py", &options).await;
    let address = format!("127.0.0.1:{}", peer.port());
    let mut recipe = Recipe::read("ocpp-charge-point", &[("csms.example.com", &address)]);
    recipe.trigger["reconnect"] = json!({"initial_delay_ms": 10, "max_delay_ms": 50});
    recipe.trigger["heartbeat"]["interval_secs"] = json!(1);
    let (client_cert, client_key) = authority.issue("CP-1");
    let app = recipe
        .run(
            database,
            &[
                ("f/charging/password", "wrong"),
                ("f/charging/ca", &authority.ca_pem()),
                ("f/charging/certificate", &client_cert),
                ("f/charging/key", &client_key),
            ],
        )
        .await;
    app.wait_for_error(recipe.path(), "401").await;
    let right = json!({"value": "pass/word 1"});
    app.post("variables/update/f/charging/password", &right)
        .await
        .expect(200);
    let connection = peer.accept().await;
    assert_eq!(connection.path, "/ocpp/CP-1");
    assert_eq!(connection.subprotocol.as_deref(), Some("ocpp1.6"));
    let shown = peer.nth("certificate", 1).await;
    assert!(shown["subject"].as_str().unwrap().contains("CP-1"));
    let boot = peer.nth("boot", 1).await;
    assert_eq!(boot["payload"]["charge_point_model"], "windsock");
    recipe.listening(&app).await;
    peer.nth("heartbeat", 2).await;
    for (connector, status) in [(1, "Accepted"), (2, "Rejected")] {
        let payload = json!({"id_tag": "tag", "connector_id": connector});
        let count = peer.events("answer").len();
        let call = json!({"do": "call", "action": "RemoteStartTransaction", "payload": payload});
        peer.command(call).await;
        let answer = peer.nth("answer", count + 1).await;
        assert_eq!(answer["answer"]["status"], status, "{answer}");
    }
    let unknown = json!({"do": "call", "action": "ClearCache", "payload": {}});
    peer.command(unknown).await;
    let answer = peer.nth("answer", 3).await;
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("NotImplemented"), "{answer}");
}
