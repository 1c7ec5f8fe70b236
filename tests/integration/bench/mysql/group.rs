//! Groups: MySQL 9 servers that replicate to each other by group replication; one of them is the primary.

use super::super::programs;
use super::super::wait::{eventually, secs};
use super::session::{execute, execute_within, records};
use super::{ADMIN, ADMIN_PASSWORD, Flavour, MysqlServer};

/// The name of every group: groups never meet, because each knows only the ports of its own members.
const NAME: &str = "5ec1c7ac-0000-4000-8000-00000000beef";

/// The members of a group: port, state and role.
pub(crate) type Members = Vec<(String, String, String)>;

impl MysqlServer {
    /// A group of this many members; the first one is its primary. Returns when all are ONLINE. A restarted member does
    /// not join by itself: see [`join`](Self::join).
    pub(crate) async fn group(members: usize) -> Vec<Self> {
        let plugins = programs::mysql("mysql-9").join("lib/mysql/plugin");
        let options = Self::options()
            .flavour(Flavour::Mysql)
            .general_log()
            .conf("performance_schema = ON")
            .conf(&format!("plugin_dir = {}", plugins.display()))
            .conf("plugin_load_add = group_replication.so")
            .conf(&format!("loose_group_replication_group_name = {NAME}"))
            .conf("loose_group_replication_start_on_boot = OFF")
            // Over the servers' own ports.
            .conf("loose_group_replication_communication_stack = MYSQL")
            .conf("loose_group_replication_ssl_mode = REQUIRED")
            .conf("loose_group_replication_recovery_use_ssl = ON")
            // Expels a member after five seconds of silence, with no additional time.
            .conf("loose_group_replication_member_expel_timeout = 0");
        let mut group = Vec::new();
        for _ in 0..members {
            group.push(options.clone().start().await);
        }
        for member in &group {
            let user = format!("SOURCE_USER = '{ADMIN}', SOURCE_PASSWORD = '{ADMIN_PASSWORD}'");
            member
                .execute(&format!("CHANGE REPLICATION SOURCE TO {user} FOR CHANNEL 'group_replication_recovery'"))
                .await;
        }
        group[0].found_group(&group.iter().collect::<Vec<_>>()).await;
        for member in &group[1..] {
            member.join(&group.iter().collect::<Vec<_>>()).await;
        }
        group
    }

    /// Makes this server the first member of the group of these servers.
    pub(crate) async fn found_group(&self, members: &[&Self]) {
        self.knows(members).await;
        self.execute("SET GLOBAL group_replication_bootstrap_group = ON").await;
        self.starts().await;
        self.execute("SET GLOBAL group_replication_bootstrap_group = OFF").await;
    }

    /// Joins the group of which these are members.
    pub(crate) async fn join(&self, members: &[&Self]) {
        self.knows(members).await;
        self.starts().await;
    }

    /// Leaves its group, which continues without it.
    pub(crate) async fn leave(&self) {
        self.execute("STOP GROUP_REPLICATION").await;
    }

    /// Makes this member the primary of its group, by a planned change.
    pub(crate) async fn take_over(&self) {
        self.execute("SELECT group_replication_set_as_primary(@@server_uuid)").await;
    }

    /// Lets every member of its group accept writes.
    pub(crate) async fn share_writes(&self) {
        self.execute("SELECT group_replication_switch_to_multi_primary_mode()").await;
    }

    /// Its view of the group; an error while its state changes.
    pub(crate) async fn members(&self) -> Result<Members, sqlx::Error> {
        let question =
            "SELECT MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members";
        let members = records(&mut self.connect_as(ADMIN, ADMIN_PASSWORD).await?, question).await?;
        let text = |member: &std::collections::BTreeMap<String, Option<String>>, name: &str| {
            member[name].clone().unwrap_or_default()
        };
        Ok(members
            .iter()
            .map(|member| (text(member, "MEMBER_PORT"), text(member, "MEMBER_STATE"), text(member, "MEMBER_ROLE")))
            .collect())
    }

    async fn knows(&self, members: &[&Self]) {
        let seeds: Vec<String> = members.iter().map(|member| format!("127.0.0.1:{}", member.port)).collect();
        let mut session = self.connect().await;
        let address = format!("SET GLOBAL group_replication_local_address = '127.0.0.1:{}'", self.port);
        execute(&mut session, &address).await;
        execute(&mut session, &format!("SET GLOBAL group_replication_group_seeds = '{}'", seeds.join(","))).await;
    }

    async fn starts(&self) {
        execute_within(&mut self.connect().await, "START GROUP_REPLICATION", secs(40)).await;
        let me = self.port.to_string();
        eventually(secs(30), format!("the member {me} to be ONLINE"), async || {
            let members = self.members().await.map_err(|error| error.to_string())?;
            match members.iter().any(|(port, state, _)| (port, state.as_str()) == (&me, "ONLINE")) {
                true => Ok(()),
                false => Err(format!("{members:?}")),
            }
        })
        .await;
    }
}
