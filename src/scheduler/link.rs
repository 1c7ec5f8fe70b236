//! One target's kept connection: opens it when needed, beats through it, replaces it once within the tick when it turns
//! out dead, and (with `provision = "auto"`) creates what is missing. Owned by the target's `beater`; `commands::beat`
//! uses it for a single beat.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::opening::Opening;
use crate::driver::{Driver, Purpose, ServerInfo, Session};
use crate::heartbeat::{self, Beat, ErrorClass, ErrorKind, Failure, RowReport, Writing};
use crate::provisioning;
use crate::scheduler::clock::{self, Clock, Instant};
use crate::status::board::ConnectReason;
use crate::target::{ProvisionMode, Target};

/// The shortest distance between two warnings of the same trouble with provisioning.
const WARNING: Duration = Duration::from_secs(60);

/// A target's connection and what is known of its server.
pub struct Link {
    driver: Arc<dyn Driver>,
    target: Arc<Target>,
    application_name: String,
    session: Option<Box<dyn Session>>,
    known_identity: Option<String>,
    server: Option<ServerInfo>,
    /// Why the next connection will be made.
    reason: ConnectReason,
    connects: Vec<ConnectReason>,
    must_provision: bool,
    /// The last line on provisioning that failed: when, and of which kind.
    warned: Option<(Instant, ErrorKind)>,
    step: CurrentStep,
}

/// What was under way when a deadline struck: worth knowing at night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CurrentStep {
    Connecting,
    Provisioning,
    Beating,
}

/// A beat together with what the database reported.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it means.
    pub beat: Beat,
    /// What was found.
    pub report: RowReport,
}

impl Link {
    /// A link without a connection yet.
    #[must_use]
    pub fn new(driver: Arc<dyn Driver>, target: Arc<Target>, application_name: String) -> Self {
        let must_provision = target.provision == ProvisionMode::Auto;
        Self {
            driver,
            target,
            application_name,
            session: None,
            known_identity: None,
            server: None,
            reason: ConnectReason::Start,
            connects: Vec::new(),
            must_provision,
            warned: None,
            step: CurrentStep::Connecting,
        }
    }

    /// Beats once. At the deadline the connection is dropped, never used again: an answer to this beat might be read as
    /// the answer to the next.
    ///
    /// # Errors
    /// A classified failure with its remedy.
    pub async fn beat(&mut self, writing: Writing, stale_before: bool, deadline: Instant) -> Result<Answer, Failure> {
        let outcome = clock::timeout_at(deadline, self.beat_and_mend(writing, stale_before, deadline)).await;
        let result = outcome.unwrap_or_else(|_| Err(self.timed_out()));
        result.map_err(|failure| {
            self.reason = ConnectReason::Retry;
            self.with_remedy(failure)
        })
    }

    /// The server that answered last.
    #[must_use]
    pub fn server(&self) -> Option<&ServerInfo> {
        self.server.as_ref()
    }

    /// The connections made since the last call, by reason.
    pub fn take_connects(&mut self) -> Vec<ConnectReason> {
        std::mem::take(&mut self.connects)
    }

    /// Closes the connection, within half a second.
    pub async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    async fn beat_and_mend(
        &mut self,
        writing: Writing,
        stale_before: bool,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut obstacle = if self.must_provision { self.provision(deadline).await? } else { None };
        let kept = self.session.is_some();
        let failure = match self.beat_once(writing, stale_before, deadline).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match failure.kind() {
            // A kept connection found dead, or its server demoted: no failure of the beat, if a new one carries it.
            ErrorKind::Network | ErrorKind::Shutdown | ErrorKind::NotWritable if kept => {
                self.reason = ConnectReason::Lost;
            }
            ErrorKind::Conflict => self.reason = ConnectReason::Retry,
            kind if is_missing(kind) && self.target.provision == ProvisionMode::Auto => {
                // Asked in this try already, and refused: nothing has changed since.
                if obstacle.is_none() {
                    obstacle = self.provision(deadline).await?;
                }
            }
            _ => return Err(failure),
        }
        let again = self.beat_once(writing, stale_before, deadline).await;
        match obstacle {
            Some(obstacle) => again.map_err(|failure| Self::because_of(failure, &obstacle)),
            None => again,
        }
    }

    async fn beat_once(&mut self, writing: Writing, stale_before: bool, deadline: Instant) -> Result<Answer, Failure> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open(deadline).await?,
        };
        self.step = CurrentStep::Beating;
        // The session is put back only after an answer: an error or a dropped future leaves it out, and so closed.
        let report = session.beat(&self.target.heartbeat, writing, deadline).await?;
        self.session = Some(session);
        let beat = heartbeat::judge(&report, writing, stale_before)?;
        Ok(Answer { beat, report })
    }

    async fn open(&mut self, deadline: Instant) -> Result<Box<dyn Session>, Failure> {
        self.step = CurrentStep::Connecting;
        let purpose =
            if self.target.write == crate::target::WriteMode::Never { Purpose::Inspect } else { Purpose::Beat };
        let opening = Opening {
            endpoint: &self.target.endpoint,
            purpose,
            table: &self.target.heartbeat,
            application_name: &self.application_name,
            known_identity: self.known_identity.as_deref(),
            deadline,
        };
        let session = opening.open(&self.driver).await?;
        self.connects.push(self.reason);
        let server = session.server().clone();
        if server.identity.is_some() {
            self.known_identity.clone_from(&server.identity);
        }
        self.server = Some(server);
        Ok(session)
    }

    /// Creates what is missing. What fails is told and does not stop a beat that can be made without it; the first of it
    /// is given back.
    ///
    /// # Errors
    /// Only when the beat would fail in the same way: the same address could not be reached, or let nobody in. Asking a
    /// second time at once would only bring a lock of the account nearer.
    async fn provision(&mut self, deadline: Instant) -> Result<Option<Failure>, Failure> {
        self.step = CurrentStep::Provisioning;
        self.session = None;
        let target = Arc::clone(&self.target);
        match provision_target(&self.driver, &target, &self.application_name, deadline).await {
            Ok(applied) => {
                self.must_provision = false;
                for title in &applied.done {
                    tracing::info!(target = target.name, step = title, "provisioned");
                }
                let mut failed = applied.failed;
                // A step that failed says more of what is still missing than what the plan could not do at all.
                failed.sort_by_key(|(step, _)| step.is_none());
                let failed = failed.into_iter().map(|(_, failure)| failure).collect();
                Ok(self.warn_of_provisioning(failed))
            }
            Err(failure) if failure.class() == ErrorClass::Connection && target.provision_endpoint.is_none() => {
                Err(failure)
            }
            Err(failure) => Ok(self.warn_of_provisioning(vec![failure])),
        }
    }

    /// Tells what could not be provisioned, the same kind of trouble once a minute; gives the first back.
    fn warn_of_provisioning(&mut self, failures: Vec<Failure>) -> Option<Failure> {
        let failures: Vec<_> = failures.into_iter().map(|failure| self.with_remedy(failure)).collect();
        let first = failures.first().cloned();
        let (now, kind) = (Clock::system().now().mono, first.as_ref().map(Failure::kind));
        match (self.warned, kind) {
            (Some((at, told)), Some(kind)) if told == kind && now.saturating_duration_since(at) < WARNING => {}
            (_, kind) => {
                self.warned = kind.map(|kind| (now, kind));
                for failure in &failures {
                    let (target, remedy) = (self.target.name.as_str(), failure.remedy());
                    tracing::warn!(target, error = %failure, remedy, "provisioning failed");
                }
            }
        }
        first
    }

    /// A failure of something missing, together with why it could not be created: that is the thing to mend.
    fn because_of(failure: Failure, obstacle: &Failure) -> Failure {
        if !is_missing(failure.kind()) {
            return failure;
        }
        let message = format!("{}; provision = \"auto\" cannot create it: {obstacle}", failure.message());
        let code = failure.code().map(str::to_owned);
        let mut longer = Failure::new(failure.kind(), message).with_source(failure);
        if let Some(code) = code {
            longer = longer.with_code(code);
        }
        match obstacle.remedy() {
            Some(remedy) => longer.with_remedy(remedy),
            None => longer,
        }
    }

    fn timed_out(&self) -> Failure {
        let limit = humantime::format_duration(self.target.timeout);
        let doing = match self.step {
            CurrentStep::Connecting => "connecting and logging in",
            CurrentStep::Provisioning => "provisioning",
            CurrentStep::Beating => "the answer to the beat",
        };
        Failure::new(ErrorKind::Timeout, format!("{doing} took longer than the time-out of {limit}"))
    }

    fn with_remedy(&self, failure: Failure) -> Failure {
        if failure.remedy().is_some() {
            return failure;
        }
        match self.driver.remedy(&failure, &self.target) {
            Some(remedy) => failure.with_remedy(remedy),
            None => failure,
        }
    }
}

/// Whether provisioning is what helps.
fn is_missing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingSchema | ErrorKind::MissingTable | ErrorKind::MissingRow | ErrorKind::MissingDatabase
    )
}

/// Connects as the administrator of a target (`provision_url`, or its own address) and creates what is missing.
///
/// # Errors
/// When connecting or planning fails; failed steps are part of the result.
pub async fn provision_target(
    driver: &Arc<dyn Driver>,
    target: &Target,
    application_name: &str,
    deadline: Instant,
) -> Result<provisioning::Applied, Failure> {
    let mut session = open_for_provisioning(driver, target, application_name, Purpose::Provision, deadline).await?;
    let applied = provisioning::provision(session.as_mut(), target).await?;
    session.close().await;
    Ok(applied)
}

/// Opens the session that provisioning (`Purpose::Provision`) or its dry run (`Purpose::Plan`) works on.
///
/// # Errors
/// As [`Opening::open`].
pub async fn open_for_provisioning(
    driver: &Arc<dyn Driver>,
    target: &Target,
    application_name: &str,
    purpose: Purpose,
    deadline: Instant,
) -> Result<Box<dyn Session>, Failure> {
    let opening = Opening {
        endpoint: target.provision_endpoint.as_ref().unwrap_or(&target.endpoint),
        purpose,
        table: &target.heartbeat,
        application_name,
        known_identity: None,
        deadline,
    };
    opening.open(driver).await
}
