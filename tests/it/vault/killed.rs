//! `kill -9` while the master key is changed: nothing is lost, nothing is unreadable.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use atryum::vault::Vault;

use super::kept::Kept;
use super::unlocking::file;
use crate::cli::run::atryum;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(whenever_it_is_killed_one_key_opens_everything);

/// How often, unless `ATRYUM_TEST_KILLS` says.
const KILLS: u32 = 20;
/// So many servers, with eight secrets each, that there is something to be cut off.
const SERVERS: usize = 60;

/// `atryum vault rotate` on the test's database.
fn rotation(database: &Database, key: &Path) -> Command {
    let mut command = atryum(&["vault", "rotate"]);
    command
        .env("ATRYUM_DATABASE_URL", database.url())
        .env("ATRYUM_DATA_DIR", database.path("data"))
        .env("ATRYUM_MASTER_KEY_PATH", key)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn whenever_it_is_killed_one_key_opens_everything(database: Database) {
    let key = database.path("master.key");
    let store = database.open().await;
    let vault = Vault::unlock(file(&key), &store).await.unwrap();
    let digest = vault.subkey("agents").digest("a key");
    let mut kept = Vec::new();
    for name in 0..SERVERS {
        kept.push(Kept::put(&store, &vault, &format!("s{name}")).await);
    }
    store.close().await.unwrap();
    let began = Instant::now();
    let whole = rotation(&database, &key).output().unwrap();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let whole = began.elapsed();

    let kills = std::env::var("ATRYUM_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let (mut cut_off, mut finished, mut keys) = (0, 0, std::collections::BTreeSet::new());
    for kill in 0..kills {
        let mut child = rotation(&database, &key).spawn().unwrap();
        // spread over the whole of it, and a little beyond
        std::thread::sleep(whole.mul_f64(1.1) * kill / kills + Duration::from_micros(u64::from(kill) * 37 % 1_000));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        *if ended.success() { &mut finished } else { &mut cut_off } += 1;
        let store = database.open().await;
        let vault = Vault::unlock(file(&key), &store).await.unwrap();
        assert_eq!(vault.subkey("agents").digest("a key"), digest);
        for kept in &kept {
            kept.demand_readable(&store, &vault).await;
        }
        keys.insert(std::fs::read_to_string(&key).unwrap());
        store.close().await.unwrap();
    }
    assert!(cut_off > 0, "none of {kills} was cut off");
    println!("{cut_off} cut off, {finished} finished, {} keys", keys.len());
}
