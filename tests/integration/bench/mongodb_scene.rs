//! The heartbeat's collection as the vendor defines it, and the user who may update it: the start of most scenarios on
//! MongoDB.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::beating_daemon::{PASSWORD, plain_password, target};
use super::mongodb::{MongoServer, ReplicaSet};

/// The user for beats, who may only find and update in the heartbeat's collection.
pub(crate) const USER: &str = "beat";
/// The heartbeat's database.
pub(crate) const DATABASE: &str = "streamkap";
/// Its collection.
pub(crate) const COLLECTION: &str = "streamkap_heartbeat";
/// Both.
pub(crate) const NAMESPACE: &str = "streamkap.streamkap_heartbeat";

/// Creates user, role, collection and document on a primary, as an administrator would by hand.
pub(crate) async fn furnish(server: &MongoServer) {
    lay_document(server).await;
    let resource = doc! { "db": DATABASE, "collection": COLLECTION };
    let privilege = doc! { "resource": resource, "actions": ["find", "update"] };
    server.run(DATABASE, doc! { "createRole": "beats", "privileges": [privilege], "roles": [] }).await;
    create_user(server, USER, vec![doc! { "role": "beats", "db": DATABASE }]).await;
}

/// As [`furnish`], on the primary of a set.
pub(crate) async fn furnish_set(set: &ReplicaSet) {
    furnish(set.member(set.primary().await)).await;
    set.is_whole().await;
}

/// The collection and its document, which was never updated.
pub(crate) async fn lay_document(server: &MongoServer) {
    server.run(DATABASE, doc! { "create": COLLECTION }).await;
    insert_document(server).await;
}

/// The document alone.
pub(crate) async fn insert_document(server: &MongoServer) {
    let document = doc! { "_id": 1, "text": "test_heartbeat", "last_update": null };
    server.run(DATABASE, doc! { "insert": COLLECTION, "documents": [document] }).await;
}

/// Creates a user of `admin` with the usual password and these roles.
pub(crate) async fn create_user(server: &MongoServer, name: &str, roles: Vec<Document>) {
    server.run("admin", doc! { "createUser": name, "pwd": PASSWORD, "roles": roles }).await;
}

/// The address of a whole set for the user of the beats, without a password.
pub(crate) fn address(set: &ReplicaSet) -> String {
    set.url(USER, PASSWORD, "").replace(&format!(":{PASSWORD}@"), "@")
}

/// The configuration of the one target on a set: a beat a second, a time-out of 2 s.
pub(crate) fn configuration(set: &ReplicaSet, more: &str) -> String {
    target("orders", &address(set), &format!("{}{more}", plain_password()))
}

/// `last_update` on the primary; `None` if it is not a date.
pub(crate) async fn last_update(set: &ReplicaSet) -> Option<DateTime> {
    let primary = set.member(set.primary().await);
    let found = primary.admin().await.find(DATABASE, COLLECTION, doc! { "_id": 1 }, doc! {}).await;
    found.first().and_then(|found| found.get("last_update")).and_then(Bson::as_datetime).copied()
}
