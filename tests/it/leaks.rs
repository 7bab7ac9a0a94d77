//! The leak hunt: a secret of its own in every place there is for one, much that goes well and more that goes wrong, and
//! then a look for those secrets in all that anybody can read.

mod canary;
mod faults;
mod scene;

use crate::support::app::Settings;
use crate::support::postgres::create_database;
use scene::Scene;

/// 32 bytes, in no order.
const MASTER_KEY: &str = "b1jJ0qf3mY8xTn5Zr2Wc7Lk4Vd9Hs6Ga0Pe1Ui3Oo5A=";

async fn hunt(scene: Scene) {
    let mut scene = scene;
    scene.plant().await;
    scene.use_all().await;
    scene.break_servers().await;
    scene.break_logins().await;
    scene.misuse().await;
    scene.look_everywhere().await;
    scene.misplace().await;
    scene.look_behind().await;
    scene.judge().await;
}

#[actix_rt::test]
async fn no_secret_comes_out_anywhere() {
    let settings = Settings::default().with("ATRYUM_MASTER_KEY", MASTER_KEY);
    let mut scene = Scene::start(settings, vec![("ATRYUM_MASTER_KEY".into(), MASTER_KEY.into())]).await;
    scene.canaries.add("master key", MASTER_KEY).add("master key's bytes", scene::decoded(MASTER_KEY));
    hunt(scene).await;
}

#[actix_rt::test]
async fn no_secret_comes_out_anywhere_with_postgresql_and_a_key_in_a_file() {
    let password = canary::canary("database");
    let url = create_database().await.replace("atryum@", &format!("atryum:{}@", scene::in_a_url(&password)));
    let settings = Settings::default().with("ATRYUM_DATABASE_URL", &url);
    let mut scene = Scene::start(settings, vec![("ATRYUM_DATABASE_URL".into(), url.clone())]).await;
    scene.canaries.add("database password", &password);
    let key = std::fs::read_to_string(scene.app.dir().join("config/atryum/master.key")).expect("a key");
    scene.canaries.add("master key", key.trim()).add("master key's bytes", scene::decoded(key.trim()));
    scene.database = Some(url);
    hunt(scene).await;
}
