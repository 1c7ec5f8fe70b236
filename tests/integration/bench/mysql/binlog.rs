//! The content of the binary log, as the server shows it in `SHOW BINLOG EVENTS`.

use std::collections::BTreeMap;

use super::MysqlServer;
use super::session::rows;

impl MysqlServer {
    /// How many events in all its binary logs update rows of this table.
    pub(crate) async fn update_rows_events(&self, schema: &str, table: &str) -> usize {
        let name = format!("({schema}.{table})");
        let mut session = self.connect().await;
        let mut count = 0;
        for file in rows(&mut session, "SHOW BINARY LOGS").await.unwrap() {
            let file = file[0].as_deref().unwrap();
            let events = rows(&mut session, &format!("SHOW BINLOG EVENTS IN '{file}'")).await.unwrap();
            // The columns of an event: log, position, type, server id, end, "table_id: 93 (schema.table)" or "table_id:
            // 93 flags…".
            let mut tables = BTreeMap::new();
            for event in &events {
                let (kind, info) = (event[2].as_deref().unwrap(), event[5].as_deref().unwrap_or_default());
                let Some((id, rest)) = info.strip_prefix("table_id: ").and_then(|info| info.split_once(' ')) else {
                    continue;
                };
                if kind == "Table_map" {
                    tables.insert(id, rest == name);
                } else if kind.starts_with("Update_rows") && tables[id] {
                    count += 1;
                }
            }
        }
        count
    }
}
