//! One target's open connection: opens it when needed, writes beats through it, replaces it once within the tick if it
//! is dead, and (with `provision = "auto"`) creates what is missing. The target's `beater` owns it; `commands::beat`
//! uses it for a single beat.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::opening::{Known, TargetContext};
use crate::driver::timelines::Timelines;
use crate::driver::{Purpose, ServerInfo, Session};
use crate::heartbeat::{self, Beat, ErrorClass, ErrorKind, Failure, KeptSession, Outcome, RowReport, Writing};
use crate::provisioning::provision_target;
use crate::status::board::ConnectReason;
use crate::target::{ProvisionMode, WriteMode};
use crate::time::clock::{self, Clock, Instant};

/// After provisioning failed, heartbeatd neither tries nor reports it again within this time. Beats continue without it
/// if they can.
const PROVISION_PAUSE: Duration = Duration::from_secs(60);

/// A target's connection, and what heartbeatd knows about its server.
pub struct Connection {
    context: TargetContext,
    session: Option<Box<dyn Session>>,
    known_identity: Option<String>,
    timelines: Timelines,
    /// Shared with the board.
    server: Option<Arc<ServerInfo>>,
    /// Why the next connection will be opened.
    reason: ConnectReason,
    connects: Vec<ConnectReason>,
    must_provision: bool,
    /// After provisioning failed: no further attempt before this.
    provision_again: Option<Instant>,
    /// Why the last provisioning failed; `None` after a success.
    obstacle: Option<Failure>,
    step: CurrentStep,
}

/// The step at which a deadline struck. The message of a time-out names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CurrentStep {
    Connecting,
    Provisioning,
    Beating,
}

/// A beat, and the report of the database.
#[derive(Debug, Clone)]
pub struct BeatAnswer {
    /// What it means.
    pub beat: Beat,
    /// What the database reported.
    pub report: RowReport,
    /// An earlier beat of the same try was sent and its answer was lost, so the value before this beat may be ours.
    pub after_lost_answer: bool,
}

impl Connection {
    /// A connection that is not open yet.
    ///
    /// `timelines` collects what heartbeatd knows about the servers of this target; it outlives the connection.
    #[must_use]
    pub fn new(context: TargetContext, timelines: Timelines) -> Self {
        let must_provision = context.target.provision == ProvisionMode::Auto;
        Self {
            context,
            session: None,
            known_identity: None,
            timelines,
            server: None,
            reason: ConnectReason::Start,
            connects: Vec::new(),
            must_provision,
            provision_again: None,
            obstacle: None,
            step: CurrentStep::Connecting,
        }
    }

    /// Writes one beat. At the deadline the connection is dropped and never used again, because the answer to this beat
    /// could be read as the answer to the next.
    ///
    /// # Errors
    /// A classified failure with its remedy.
    pub async fn beat(
        &mut self,
        writing: Writing,
        stale_before: bool,
        deadline: Instant,
    ) -> Result<BeatAnswer, Failure> {
        let outcome = clock::timeout_at(deadline, self.beat_and_mend(writing, stale_before, deadline)).await;
        let result = outcome.unwrap_or_else(|_| Err(self.timed_out()));
        result.map_err(|failure| {
            self.reason = ConnectReason::Retry;
            // The server may have committed a beat whose answer was lost.
            let sent = self.step == CurrentStep::Beating && writing != Writing::Never;
            let failure = match failure.kind().outcome() {
                Outcome::Unknown if sent => failure.with_unknown_outcome(),
                _ => failure,
            };
            self.context.with_remedy(failure)
        })
    }

    /// Accepts the next server that answers, even if its identity is another one.
    pub fn forget_identity(&mut self) {
        self.known_identity = None;
    }

    /// The server that answered last.
    #[must_use]
    pub fn server(&self) -> Option<&Arc<ServerInfo>> {
        self.server.as_ref()
    }

    /// The connections opened since the last call, by reason.
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
    ) -> Result<BeatAnswer, Failure> {
        self.leave_a_former_primary().await;
        if self.must_provision {
            self.provision(deadline).await?;
        }
        let kept = self.session.is_some();
        let failure = match self.beat_once(writing, stale_before, deadline).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let lost_answer = failure.kind().outcome() == Outcome::Unknown && self.step == CurrentStep::Beating;
        match failure.kind().kept_session() {
            // The open connection is dead, or its server was demoted or left its cluster. The beat has not failed if a
            // new connection carries it.
            KeptSession::Replaced if kept => self.reason = ConnectReason::Lost,
            KeptSession::TriedAgain => self.reason = ConnectReason::Retry,
            _ if failure.kind().provisioning_helps() && self.context.target.provision == ProvisionMode::Auto => {
                self.provision(deadline).await?;
            }
            _ => return Err(failure),
        }
        match self.beat_once(writing, stale_before, deadline).await {
            Ok(answer) => Ok(BeatAnswer { after_lost_answer: lost_answer, ..answer }),
            Err(failure) => Err(self.with_obstacle(failure)),
        }
    }

    /// An open connection does not notice a promotion elsewhere. The failover watcher reports it here (I13).
    async fn leave_a_former_primary(&mut self) {
        let behind = |session: &mut Box<dyn Session>| self.timelines.newer_than(session.server()).is_some();
        if self.context.target.write != WriteMode::Never
            && let Some(session) = self.session.take_if(behind)
        {
            self.reason = ConnectReason::Lost;
            session.close().await;
        }
    }

    async fn beat_once(
        &mut self,
        writing: Writing,
        stale_before: bool,
        deadline: Instant,
    ) -> Result<BeatAnswer, Failure> {
        let mut session = match self.session.take() {
            Some(session) if session.is_ready() => session,
            Some(session) => {
                session.close().await;
                self.open(deadline).await?
            }
            None => self.open(deadline).await?,
        };
        self.step = CurrentStep::Beating;
        // The session goes back only after an answer, or after a failure that it survives. After any other error, or if
        // the future is dropped, it is closed.
        let outcome = session.beat(writing, deadline).await;
        if outcome.as_ref().err().is_none_or(|failure| session.survives(failure.kind())) {
            if self.server.as_deref() != Some(session.server()) {
                self.server = Some(Arc::new(session.server().clone()));
            }
            self.session = Some(session);
        }
        let report = outcome?;
        let beat = heartbeat::judge(&report, writing, stale_before)?;
        Ok(BeatAnswer { beat, report, after_lost_answer: false })
    }

    async fn open(&mut self, deadline: Instant) -> Result<Box<dyn Session>, Failure> {
        self.step = CurrentStep::Connecting;
        let target = &self.context.target;
        let purpose = if target.write == WriteMode::Never { Purpose::Inspect } else { Purpose::Beat };
        let timelines = Some(&self.timelines);
        let known = Known { identity: self.known_identity.as_deref(), timelines, ..Known::default() };
        let session = self.context.open(&target.endpoint, purpose, known, deadline).await?;
        self.connects.push(self.reason);
        let server = Arc::new(session.server().clone());
        if server.identity.is_some() {
            self.known_identity.clone_from(&server.identity);
        }
        self.timelines.record(&server);
        self.server = Some(server);
        Ok(session)
    }

    /// Creates what is missing. A failed step is reported and does not prevent a beat that works without it.
    ///
    /// # Errors
    /// Only if the beat would fail in the same way, because heartbeatd could not reach the same address or log in
    /// there. A second login at once could lock the account.
    async fn provision(&mut self, deadline: Instant) -> Result<(), Failure> {
        let now = Clock::system().now().mono;
        if self.provision_again.is_some_and(|again| now < again) {
            return Ok(());
        }
        self.step = CurrentStep::Provisioning;
        self.session = None;
        self.provision_again = Some(now + PROVISION_PAUSE);
        let target = Arc::clone(&self.context.target);
        match provision_target(&self.context, Some(&self.timelines), deadline).await {
            Ok(applied) => {
                self.must_provision = false;
                self.obstacle = applied.obstacle().map(|failure| self.context.with_remedy(failure.clone()));
                if applied.failed.is_empty() {
                    self.provision_again = None;
                }
                for title in &applied.done {
                    tracing::info!(target = target.name, step = title, "provisioned");
                }
                applied.failed.into_iter().for_each(|(_, failure)| self.warn_of_provisioning(failure));
            }
            Err(failure) if failure.class() == ErrorClass::Connection && target.provision_endpoint.is_none() => {
                // The beat's backoff sets the pace.
                self.provision_again = None;
                return Err(failure);
            }
            Err(failure) => {
                self.obstacle = Some(self.context.with_remedy(failure.clone()));
                self.warn_of_provisioning(failure);
            }
        }
        Ok(())
    }

    /// Adds why heartbeatd could not create what is missing: that is the cause to repair.
    fn with_obstacle(&self, failure: Failure) -> Failure {
        let Some(obstacle) = self.obstacle.as_ref().filter(|_| failure.kind().provisioning_helps()) else {
            return failure;
        };
        let message = format!("{}; provision = \"auto\" cannot create it: {obstacle}", failure.message());
        let mut longer = Failure::new(failure.kind(), message);
        if let Some(code) = failure.code() {
            longer = longer.with_code(code);
        }
        if let Some(remedy) = obstacle.remedy() {
            longer = longer.with_remedy(remedy);
        }
        longer.with_source(failure)
    }

    fn warn_of_provisioning(&self, failure: Failure) {
        let failure = self.context.with_remedy(failure);
        tracing::warn!(target = self.context.target.name, error = %failure, remedy = failure.remedy().map(tracing::field::display), "provisioning failed");
    }

    fn timed_out(&self) -> Failure {
        let limit = humantime::format_duration(self.context.target.timeout);
        let doing = match self.step {
            CurrentStep::Connecting => "connecting and logging in",
            CurrentStep::Provisioning => "provisioning",
            CurrentStep::Beating => "the answer to the beat",
        };
        Failure::new(ErrorKind::Timeout, format!("{doing} took longer than the time-out of {limit}"))
    }
}
