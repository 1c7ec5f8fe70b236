//! Addresses that people paste from providers' pages and from other programs' configuration. Each is accepted, or
//! refused with what to write instead, with all faults at once and without its password.

use heartbeatd::drivers::Drivers;
use heartbeatd::target::Target;

/// The password in all of them.
const PASSWORD: &str = "Gr4nd-Pian0";

/// By their origin; `PW` is the password.
const PASTED: &[&str] = &[
    // RDS and Aurora
    "postgresql://admin:PW@orders.c9akciq32.eu-west-1.rds.amazonaws.com:5432/orders",
    "postgres://admin:PW@orders.cluster-c9akciq32.eu-west-1.rds.amazonaws.com/orders?sslmode=verify-full&sslrootcert=/etc/ssl/global-bundle.pem",
    "mysql://admin:PW@orders.c9akciq32.eu-west-1.rds.amazonaws.com:3306/orders?ssl-mode=VERIFY_IDENTITY&ssl-ca=/etc/ssl/global-bundle.pem",
    "jdbc:aws-wrapper:postgresql://orders.cluster-c9akciq32.eu-west-1.rds.amazonaws.com:5432/orders",
    "orders.c9akciq32.eu-west-1.rds.amazonaws.com:5432",
    // Cloud SQL
    "postgresql://admin:PW@/orders?host=/cloudsql/project:region:instance",
    "mysql://admin:PW@/orders?unix_socket=/cloudsql/project:region:instance",
    "mysql+pymysql://admin:PW@/orders?unix_socket=/cloudsql/project:region:instance",
    "jdbc:postgresql:///orders?cloudSqlInstance=project:region:instance&socketFactory=com.google.cloud.sql.postgres.SocketFactory",
    // Azure
    "postgres://admin%40orders:PW@orders.postgres.database.azure.com:5432/postgres?sslmode=require",
    "postgres://admin@orders:PW@orders.postgres.database.azure.com:5432/postgres?sslmode=require",
    "host=orders.postgres.database.azure.com port=5432 dbname=orders user=admin password=PW sslmode=require",
    "Server=orders.postgres.database.azure.com;Database=orders;Port=5432;User Id=admin;Password=PW;Ssl Mode=Require;",
    "Server=tcp:orders.database.windows.net,1433;Initial Catalog=orders;User ID=admin;Password=PW;Encrypt=True;",
    "Server=tcp:orders.database.windows.net,1433;Initial Catalog=orders;Persist Security Info=False;User ID=admin;Password={your_password};MultipleActiveResultSets=False;Encrypt=True;TrustServerCertificate=False;Connection Timeout=30;",
    "Server=tcp:orders.database.windows.net,1433;Initial Catalog=orders;Encrypt=True;TrustServerCertificate=False;Connection Timeout=30;Authentication=\"Active Directory Default\";",
    "jdbc:sqlserver://orders.database.windows.net:1433;database=orders;user=admin@orders;password=PW;encrypt=true;trustServerCertificate=false;hostNameInCertificate=*.database.windows.net;loginTimeout=30;",
    "Driver={ODBC Driver 18 for SQL Server};Server=tcp:orders.database.windows.net,1433;Database=orders;Uid=admin;Pwd=PW;Encrypt=yes;TrustServerCertificate=no;Connection Timeout=30;",
    "mysql://admin:PW@orders.mysql.database.azure.com:3306/orders?ssl-mode=REQUIRED",
    // Supabase
    "postgresql://postgres:PW@db.abcdefgh.supabase.co:5432/postgres",
    "postgresql://postgres.abcdefgh:PW@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?pgbouncer=true",
    "postgresql://postgres.abcdefgh:PW@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1&schema=app",
    "postgres://postgres.abcdefgh:PW@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?sslmode=require&supa=base-pooler.x",
    // Neon
    "postgresql://admin:PW@ep-cool-darkness-123456.eu-central-1.aws.neon.tech/orders?sslmode=require&channel_binding=require",
    "postgresql://admin:PW@ep-cool-darkness-123456-pooler.eu-central-1.aws.neon.tech/orders?sslmode=verify-full&sslrootcert=system",
    "postgresql://admin:PW@ep-cool-darkness-123456.eu-central-1.aws.neon.tech/orders?options=endpoint%3Dep-cool-darkness-123456&sslmode=require",
    // PlanetScale
    "mysql://admin:PW@aws.connect.psdb.cloud/orders?sslaccept=strict",
    "mysql://admin:PW@aws.connect.psdb.cloud/orders?ssl={\"rejectUnauthorized\":true}",
    "mysql://admin:PW@aws.connect.psdb.cloud/orders?sslmode=verify_identity&sslrootcert=/etc/ssl/cert.pem",
    "postgresql://postgres.abc:PW@eu-west-2.pg.psdb.cloud:6432/postgres?sslmode=verify-full",
    // Prisma
    "postgresql://admin:PW@localhost:5432/orders?schema=public&connection_limit=5&pool_timeout=20&socket_timeout=5",
    "mysql://admin:PW@localhost:3306/orders?connection_limit=5&statement_cache_size=0",
    "prisma+postgres://accelerate.prisma-data.net/?api_key=PW",
    "file:./dev.db",
    "postgresql://admin:PW@localhost/orders?host=/run/postgresql/",
    // JDBC
    "jdbc:postgresql://db.example:5432/orders?user=admin&password=PW&ssl=true",
    "postgresql://admin:PW@db.example:5432/orders?currentSchema=app&prepareThreshold=0&reWriteBatchedInserts=true&ApplicationName=app",
    "jdbc:mysql://db.example:3306/orders?useSSL=true&requireSSL=true&serverTimezone=UTC",
    "mysql://admin:PW@db.example:3306/orders?useUnicode=true&characterEncoding=UTF-8&serverTimezone=UTC&allowPublicKeyRetrieval=true",
    "jdbc:mariadb://db.example:3306/orders?user=admin&password=PW",
    // SQL Server: Management Studio, Visual Studio, .NET's documentation, Go, SQLAlchemy
    "Data Source=db.example\\PROD;Initial Catalog=orders;Integrated Security=True;Encrypt=True;Trust Server Certificate=True",
    "Data Source=db.example;User ID=admin;Password=PW;Pooling=False;Connect Timeout=30;Encrypt=True;Trust Server Certificate=False;Authentication=SqlPassword;Application Name=\"SQL Server Management Studio\";Command Timeout=0;Connect Retry Count=1;Connect Retry Interval=10;Database=orders",
    "Server=(localdb)\\mssqllocaldb;Database=orders;Trusted_Connection=True;MultipleActiveResultSets=true",
    "Server=.\\SQLEXPRESS;Database=orders;User Id=admin;Password=PW;IPAddressPreference=IPv4First;HostNameInCertificate=db.example;ServerCertificate=/etc/ssl/db.cer",
    "Server=db.example;Database=orders;User Id=admin;Password=PW;Workstation ID=here;Column Encryption Setting=Enabled;Failover Partner=other",
    "DSN=orders;UID=admin;PWD=PW",
    "sqlserver://admin:PW@db.example:1433?database=orders&encrypt=true",
    "mssql+pyodbc://admin:PW@db.example/orders?driver=ODBC+Driver+18+for+SQL+Server",
    // SQLAlchemy, Django, Rails
    "postgresql+psycopg2://admin:PW@db.example/orders",
    "postgresql+asyncpg://admin:PW@db.example/orders?ssl=require",
    "mysql+mysqlconnector://admin:PW@db.example/orders?charset=utf8mb4",
    "mariadb+mariadbconnector://admin:PW@db.example/orders",
    "postgis://admin:PW@db.example/orders",
    "mysql2://admin:PW@db.example/orders?encoding=utf8mb4&reconnect=true&pool=5",
    // Go
    "admin:PW@tcp(db.example:3306)/orders?parseTime=true&loc=Local",
    "admin:PW@unix(/run/mysqld/mysqld.sock)/orders",
    "postgres://admin:PW@db.example/orders?sslmode=disable&search_path=app&pool_max_conns=10&default_query_exec_mode=simple_protocol&binary_parameters=yes",
    // libpq, node, and addresses that people type
    "host=db.example dbname=orders user=admin",
    "service=orders",
    "postgres://db.example/orders",
    "mysql://db.example/orders?pool_size=3&useSSL=true",
    "postgre://admin:PW@db.example/orders",
    "postgresSQL://admin:PW@db.example/orders",
    "localhost:5432/orders",
    "localhost",
    "postgres://admin:PW@[2001:db8::1]:5432/orders",
    "postgres://admin:p/a@ss@db.example/orders",
    "postgres://a.example,b.example:5433/orders?target_session_attrs=read-write&user=admin&connect_timeout=10&sslmode=require&uselibpqcompat=true",
    // MongoDB: Atlas, Amazon DocumentDB, Azure Cosmos DB, MongoDB's manual, Mongoose
    "mongodb+srv://admin:PW@cluster0.abcde.mongodb.net/orders?retryWrites=true&w=majority",
    "mongodb+srv://admin:PW@cluster0.abcde.mongodb.net/?retryWrites=true&w=majority&appName=Cluster0",
    "mongodb+srv://cluster0.abcde.mongodb.net/?authSource=%24external&authMechanism=MONGODB-AWS",
    "mongodb://admin:PW@orders.cluster-c9akciq32.eu-west-1.docdb.amazonaws.com:27017/?tls=true&tlsCAFile=global-bundle.pem&replicaSet=rs0&readPreference=secondaryPreferred&retryWrites=false",
    "mongodb://orders:PW@orders.mongo.cosmos.azure.com:10255/?ssl=true&replicaSet=globaldb&retrywrites=false&maxIdleTimeMS=120000&appName=@orders@",
    "mongodb://admin:PW@a.example:27017,b.example:27017,c.example:27017/?authSource=admin&replicaSet=rs0&maxPoolSize=50&minPoolSize=5&connectTimeoutMS=5000",
    "mongodb://admin:PW@db.example:27017/?tls=true&tlsAllowInvalidCertificates=true&directConnection=true&useNewUrlParser=true&useUnifiedTopology=true",
    "mongodb://admin:p@ss@db.example/orders",
    "mongodb://db.example",
    "mongo://admin:PW@db.example/orders",
    // SQL Server: Azure, Amazon RDS, JDBC, ODBC, Go, SQLAlchemy, Prisma, the text that Management Studio shows
    "Server=tcp:orders.public.a1b2c3.database.windows.net,3342;Persist Security Info=False;User ID=admin;Password=PW;MultipleActiveResultSets=False;Encrypt=True;TrustServerCertificate=False;Connection Timeout=30;",
    "Data Source=.\\SQLEXPRESS;Initial Catalog=orders;Integrated Security=True",
    "Driver={ODBC Driver 18 for SQL Server};Server=tcp:orders.database.windows.net,1433;Database=orders;Uid=admin;Pwd=PW;Encrypt=yes;TrustServerCertificate=no;Connection Timeout=30;",
    "jdbc:sqlserver://orders.database.windows.net:1433;database=orders;user=admin@orders;password=PW;encrypt=true;trustServerCertificate=false;hostNameInCertificate=*.database.windows.net;loginTimeout=30;",
    "sqlserver://admin:PW@orders.c9akciq32.eu-west-1.rds.amazonaws.com:1433?database=orders&encrypt=true&connection+timeout=30",
    "sqlserver://db.example:1433;database=orders;user=admin;password=PW;trustServerCertificate=true",
    "mssql+pyodbc://admin:PW@db.example/orders?driver=ODBC+Driver+18+for+SQL+Server",
    "mssql://admin:PW@db.example\\SALES/orders",
    "sqlsrv:Server=db.example,1433;Database=orders",
    // Oracle: JDBC, Easy Connect, SQLAlchemy, Amazon RDS, Autonomous Database, SQL*Plus
    "jdbc:oracle:thin:@//db.example:1521/pdb1",
    "jdbc:oracle:thin:admin/PW@db.example:1521:ORCL",
    "jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db.example)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=pdb1)))",
    "db.example:1521/pdb1",
    "tcps://adb.eu-frankfurt-1.oraclecloud.com:1522/abc_orders_high.adb.oraclecloud.com?wallet_location=/etc/wallet",
    "oracle://admin:PW@orders.c9akciq32.eu-west-1.rds.amazonaws.com:1521/ORCL",
    "oracle+oracledb://admin:PW@db.example:1521/?service_name=pdb1&encoding=UTF-8",
    "oracle://admin:PW@db.example:1521/?service_name=pdb1&mode=SYSDBA&threaded=true",
    "oracle://admin:PW@db.example:1521/pdb1?connect_timeout=10&retry_count=3&ssl_server_dn_match=no",
    "admin/PW@//db.example:1521/pdb1",
    "admin/PW@orders_high",
    // SQLite: SQLAlchemy, JDBC, Microsoft, Prisma
    "sqlite:///heartbeat.db",
    "sqlite:////var/lib/orders/heartbeat.db",
    "sqlite:heartbeat.db?mode=rwc",
    "sqlite+pysqlite:///heartbeat.db",
    "sqlite3:heartbeat.db",
    "jdbc:sqlite:heartbeat.db",
    "sqlite::memory:",
    "Data Source=heartbeat.db;Mode=ReadWrite",
];

#[test]
fn a_pasted_address_is_accepted_or_refused_with_what_to_write_instead() {
    let drivers = Drivers::built_in();
    let answers: Vec<String> = PASTED
        .iter()
        .map(|pasted| {
            let answer = match drivers.endpoint(&pasted.replace("PW", PASSWORD)) {
                Err(error) => format!("refused: {error}"),
                Ok(endpoint) => {
                    let driver = drivers.get(endpoint.url.family()).unwrap();
                    let target = Target::new("orders", endpoint);
                    let judgement = driver.validate(&target);
                    let mut said: Vec<String> =
                        judgement.complaints.iter().map(|remark| format!("refused: {}", remark.text)).collect();
                    said.extend(judgement.warnings.iter().map(|remark| format!("warning: {}", remark.text)));
                    if said.is_empty() { "accepted".to_owned() } else { said.join("\n    ") }
                }
            };
            assert!(!answer.contains(PASSWORD), "{pasted}: {answer}");
            format!("{pasted}\n    {}", without_the_list(&answer))
        })
        .collect();
    assert!(PASTED.len() >= 50);
    insta::assert_snapshot!(answers.join("\n"));
}

/// Removes the list of schemes, which differs between builds.
fn without_the_list(answer: &str) -> String {
    match answer.split_once(": known are ") {
        Some((before, after)) => format!("{before}{}", after.find(';').map_or("", |end| &after[end..])),
        None => answer.to_owned(),
    }
}
