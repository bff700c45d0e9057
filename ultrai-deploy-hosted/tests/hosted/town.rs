//! A hosted platform in memory: deploys that take their time, answers that tell little.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    secret::Secret,
};
use ultrai_deploy_hosted::platform::{
    Artifact, Change, Configured, Deploy, Order, Platform, Pushes, Seen, Setting, Slot, Status,
};

/// The longest that a town takes to show what it has accepted: longer than a lease lasts.
pub const LAG: Duration = Duration::from_secs(20);

/// How a town behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a surprise of its own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// It does not tell the id of a deploy that it starts.
    pub is_silent: bool,
    /// A new deploy is shown only after this.
    pub lag: Duration,
    /// It has no former build to go back to.
    pub forgets: bool,
    /// It deploys what it had before, and calls that a success.
    pub is_stubborn: bool,
    /// Removing a variable starts a deploy of what is configured, and going back brings the
    /// variables of then back.
    pub is_bound: bool,
    /// How long a list of deploys shows what was before.
    pub list_lag: Duration,
    /// How many more calls than two go by before a deploy is over.
    pub slowness: u32,
}

impl Manners {
    pub const DEFAULT: Self = Self {
        is_silent: false,
        lag: Duration::ZERO,
        forgets: false,
        is_stubborn: false,
        is_bound: false,
        list_lag: Duration::ZERO,
        slowness: 0,
    };
}

/// Clones are the same town.
#[derive(Clone, Debug, Default)]
pub struct Town {
    pub manners: Manners,
    slots: Arc<Mutex<BTreeMap<String, Place>>>,
}

#[derive(Debug, Default)]
struct Place {
    /// Newest first.
    deploys: Vec<One>,
    set: Set,
    /// What is deployed when nobody says what.
    configured: Option<Artifact>,
    deploys_itself: Option<bool>,
    is_suspended: bool,
    /// Until when it is shown as it was before.
    suspension_seen_from: Option<Instant>,
    begun: u32,
    /// How many more times its own deploys are not switched on or off.
    holds_on: u32,
    /// Nothing is deployed any more.
    is_locked: bool,
    /// Variables whose values are not given back.
    sealed: BTreeSet<String>,
}

/// What is set in a slot, and what a deploy runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    pub variables: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
    pub settings: BTreeMap<Setting, String>,
}

#[derive(Clone, Debug)]
struct One {
    deploy: Deploy,
    set: Set,
    seen_from: Instant,
    left: u32,
    /// What it was, and until when that is shown in a list.
    was: Option<(Status, Instant)>,
}

impl Town {
    pub fn new(manners: Manners, slots: &[&str]) -> Self {
        let slots = slots.iter().map(|name| ((*name).to_owned(), Place::default())).collect();
        Self { manners, slots: Arc::new(Mutex::new(slots)) }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.slots.lock().unwrap()
    }

    /// What has not come to an end.
    pub fn open(&self) -> Vec<String> {
        let slots = self.slots();
        let all = slots.values().flat_map(|place| &place.deploys);
        let open = all.filter(|one| one.deploy.status.is_open());
        open.map(|one| one.deploy.id.clone()).collect()
    }

    /// What is deployed when nobody says what.
    pub fn configured_in(&self, slot: &str) -> Option<String> {
        match &self.slots()[slot].configured {
            Some(Artifact::Image { reference, .. }) => Some(reference.clone()),
            _ => None,
        }
    }

    /// How many deploys of a slot were ever started.
    pub fn begun(&self, slot: &str) -> u32 {
        self.slots()[slot].begun
    }

    /// What that which serves in a slot was started with.
    pub fn live_with(&self, slot: &str) -> Set {
        let slots = self.slots();
        let live = slots[slot].deploys.iter().find(|one| one.deploy.status == Status::Live);
        live.map(|one| one.set.clone()).unwrap_or_default()
    }

    /// Whether the slot is deployed without being told to.
    pub fn deploys_itself(&self, slot: &str) -> Option<bool> {
        self.slots()[slot].deploys_itself
    }

    /// The next calls that switch that on or off fail, and nobody knows what they did.
    pub fn hold_on(&self, slot: &str, calls: u32) {
        self.slots().get_mut(slot).unwrap().holds_on = calls;
    }

    /// Nothing is deployed there any more.
    pub fn lock(&self, slot: &str) {
        self.slots().get_mut(slot).unwrap().is_locked = true;
    }

    /// Somebody deletes a slot.
    pub fn delete(&self, slot: &str) {
        self.slots().remove(slot);
    }

    /// Somebody stops what is under way.
    pub fn stop_by_hand(&self, slot: &str) {
        let mut slots = self.slots();
        for one in &mut slots.get_mut(slot).unwrap().deploys {
            if one.deploy.status.is_open() {
                one.deploy.status = Status::Dropped("skipped".to_owned());
            }
        }
    }

    /// What serves in a slot.
    pub fn live_in(&self, slot: &str) -> Option<Artifact> {
        let slots = self.slots();
        let mut live = slots[slot].deploys.iter().filter(|one| one.deploy.status == Status::Live);
        live.next().filter(|_| !slots[slot].is_suspended)?.deploy.artifact.clone()
    }

    pub fn let_deploy_itself(&self, slot: &str) {
        self.slots().get_mut(slot).unwrap().deploys_itself = Some(true);
    }

    /// Somebody deploys by hand.
    pub fn deploy_by_hand(&self, slot: &str, reference: &str) {
        self.bring_by_hand(slot, Artifact::image(reference));
    }

    /// Somebody uploads a source.
    pub fn upload_by_hand(&self, slot: &str) {
        self.bring_by_hand(slot, Artifact::Source("by hand".to_owned()));
    }

    fn bring_by_hand(&self, slot: &str, artifact: Artifact) {
        let mut slots = self.slots();
        let place = slots.get_mut(slot).unwrap();
        place.begin(slot, artifact, Manners::default());
        place.deploys[0].left = 0;
        place.pass(Duration::ZERO);
    }

    pub fn set_by_hand(&self, slot: &str, name: &str, value: &str) {
        let mut slots = self.slots();
        let set = &mut slots.get_mut(slot).unwrap().set;
        set.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Somebody seals a variable: nobody can read it any more.
    pub fn seal(&self, slot: &str, name: &str) {
        self.slots().get_mut(slot).unwrap().sealed.insert(name.to_owned());
    }

    pub fn set_up_by_hand(&self, slot: &str, setting: Setting, value: &str) {
        let mut slots = self.slots();
        slots.get_mut(slot).unwrap().set.settings.insert(setting, value.to_owned());
    }

    pub fn set_in(&self, slot: &str) -> Set {
        self.slots()[slot].set.clone()
    }

    pub fn set_file_by_hand(&self, slot: &str, name: &str, content: &str) {
        let mut slots = self.slots();
        let set = &mut slots.get_mut(slot).unwrap().set;
        set.files.insert(name.to_owned(), content.to_owned());
    }

    fn at<T>(&self, slot: &Slot, act: impl FnOnce(&mut Place) -> T) -> T {
        let mut slots = self.slots();
        let place = slots.get_mut(&slot.name).unwrap();
        place.pass(self.manners.list_lag);
        act(place)
    }

    fn set_suspended(&self, slot: &Slot, is_suspended: bool) {
        let lag = self.manners.lag;
        self.at(slot, |place| {
            if place.is_suspended != is_suspended {
                place.is_suspended = is_suspended;
                place.suspension_seen_from = Some(Instant::now() + lag);
            }
        });
    }

    fn refuse_locked(&self, slot: &Slot) -> Result<()> {
        if !self.at(slot, |place| place.is_locked) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, "ask the town", "it is locked").without_effect())
    }
}

impl Place {
    fn begin(&mut self, slot: &str, artifact: Artifact, manners: Manners) -> String {
        self.begun += 1;
        let id = format!("{slot}-{}", self.begun);
        let deploy = Deploy {
            id: id.clone(),
            artifact: Some(artifact),
            status: Status::UnderWay("building".to_owned()),
            began: Some(format!("tick {}", self.begun)),
        };
        let set = self.set.clone();
        self.deploys.insert(
            0,
            One {
                deploy,
                set,
                seen_from: Instant::now() + manners.lag,
                left: 2 + manners.slowness,
                was: None,
            },
        );
        id
    }

    /// Whether what is shown of its suspension is the case.
    fn shows_suspension(&self) -> bool {
        self.suspension_seen_from.is_none_or(|from| Instant::now() >= from)
    }

    /// Time goes by.
    fn pass(&mut self, list_lag: Duration) {
        let mut is_live = false;
        for at in 0..self.deploys.len() {
            let one = &mut self.deploys[at];
            let was = one.deploy.status.clone();
            if matches!(one.deploy.status, Status::UnderWay(_)) {
                if is_live {
                    one.deploy.status = Status::Dropped("canceled".to_owned());
                } else if one.left > 0 {
                    one.left -= 1;
                } else {
                    let text = format!("{:?}", one.deploy.artifact);
                    one.deploy.status = if text.contains("sick") {
                        Status::Failed("update_failed".to_owned())
                    } else {
                        Status::Live
                    };
                }
            }
            if one.deploy.status == Status::Live {
                if is_live {
                    one.deploy.status = Status::Replaced;
                }
                is_live = true;
            }
            if one.deploy.status != was {
                one.was = Some((was, Instant::now() + list_lag));
            }
        }
    }
}

impl One {
    fn is_seen(&self) -> bool {
        Instant::now() >= self.seen_from
    }

    fn listed(&self) -> Deploy {
        let mut deploy = self.shown();
        if let Some((was, until)) = &self.was
            && Instant::now() < *until
        {
            deploy.status = was.clone();
        }
        deploy
    }

    /// Nobody is told whose source it was.
    fn shown(&self) -> Deploy {
        let mut deploy = self.deploy.clone();
        deploy.artifact = deploy.artifact.filter(|one| !matches!(one, Artifact::Source(_)));
        deploy
    }
}

fn none(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, "ask the town", what).without_effect()
}

fn secret(values: &BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    values.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect()
}

fn apply(values: &mut BTreeMap<String, String>, change: &Change) {
    values.retain(|name, _| !change.remove.contains(name));
    let set = change.set.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    values.extend(set);
}

#[async_trait]
impl Platform for Town {
    fn name(&self) -> &'static str {
        "town"
    }

    async fn find(&self, _: &Context, name: &str) -> Result<Slot> {
        if !self.slots().contains_key(name) {
            return Err(Error::new(ErrorKind::NotFound, "find a slot", name).without_effect());
        }
        let is_exclusive = name == "db";
        Ok(Slot { id: name.to_owned(), name: name.to_owned(), is_exclusive })
    }

    async fn look(&self, _: &Context, slot: &Slot) -> Result<Seen> {
        Ok(self.at(slot, |place| Seen {
            deploys: place.deploys.iter().filter(|one| one.is_seen()).map(One::listed).collect(),
            is_suspended: place.is_suspended == place.shows_suspension(),
            url: None,
        }))
    }

    async fn deploy(&self, _: &Context, slot: &Slot, id: &str) -> Result<Deploy> {
        self.at(slot, |place| {
            let found = place.deploys.iter().find(|one| one.deploy.id == id && one.is_seen());
            found.map(One::shown).ok_or_else(|| none(id))
        })
    }

    async fn variables(&self, _: &Context, slot: &Slot) -> Result<BTreeMap<String, Secret>> {
        Ok(self.at(slot, |place| {
            let mut variables = secret(&place.set.variables);
            variables.retain(|name, _| !place.sealed.contains(name));
            variables
        }))
    }

    async fn sealed(&self, _: &Context, slot: &Slot) -> Result<BTreeSet<String>> {
        Ok(self.at(slot, |place| place.sealed.clone()))
    }

    async fn change_variables(&self, _: &Context, slot: &Slot, change: &Change) -> Result<()> {
        let manners = self.manners;
        self.at(slot, |place| {
            apply(&mut place.set.variables, change);
            if let Some(configured) = place.configured.clone()
                && manners.is_bound
                && !change.remove.is_empty()
                && !place.is_suspended
            {
                place.begin(&slot.name, configured, manners);
            }
        });
        Ok(())
    }

    async fn files(&self, _: &Context, slot: &Slot) -> Result<BTreeMap<String, Secret>> {
        Ok(self.at(slot, |place| secret(&place.set.files)))
    }

    async fn change_files(&self, _: &Context, slot: &Slot, change: &Change) -> Result<()> {
        self.at(slot, |place| apply(&mut place.set.files, change));
        Ok(())
    }

    async fn configured(&self, _: &Context, slot: &Slot) -> Result<Configured> {
        Ok(self.at(slot, |place| Configured {
            artifact: place.configured.clone(),
            settings: place.set.settings.clone(),
        }))
    }

    async fn configure(
        &self,
        _: &Context,
        slot: &Slot,
        artifact: Option<&Artifact>,
        settings: &BTreeMap<Setting, Option<String>>,
    ) -> Result<()> {
        self.at(slot, |place| {
            place.configured = artifact.cloned().or(place.configured.take());
            for (setting, value) in settings {
                match value {
                    Some(value) => place.set.settings.insert(*setting, value.clone()),
                    None => place.set.settings.remove(setting),
                };
            }
        });
        Ok(())
    }

    async fn pushes(&self, _: &Context, slot: &Slot) -> Result<Option<Pushes>> {
        if !self.slots().contains_key(&slot.name) {
            return Err(none(&slot.name));
        }
        let noon = || Pushes::Deployed("at noon".to_owned());
        Ok(self.at(slot, |place| Some(if place.deploys_itself? { noon() } else { Pushes::Wait })))
    }

    async fn set_pushes(&self, _: &Context, slot: &Slot, pushes: &Pushes) -> Result<()> {
        let on = match pushes {
            Pushes::Wait => false,
            Pushes::Deployed(when) => {
                assert_eq!(when, "at noon", "as it was");
                true
            }
        };
        self.at(slot, |place| {
            if place.holds_on == 0 {
                place.deploys_itself = Some(on);
                return Ok(());
            }
            place.holds_on -= 1;
            Err(Error::new(ErrorKind::Unavailable, "ask the town", "it does not answer"))
        })
    }

    fn removes_with_deploy(&self) -> bool {
        self.manners.is_bound
    }

    fn brings_variables_back(&self) -> bool {
        self.manners.is_bound
    }

    async fn start(&self, _: &Context, slot: &Slot, order: &Order<'_>) -> Result<Option<String>> {
        self.refuse_locked(slot)?;
        let manners = self.manners;
        let id = self.at(slot, |place| {
            for name in order.remove {
                place.set.variables.remove(name);
            }
            let old = place.deploys.first().and_then(|one| one.deploy.artifact.clone());
            place.configured = Some(order.artifact.clone());
            let artifact =
                old.filter(|_| manners.is_stubborn).unwrap_or_else(|| order.artifact.clone());
            place.begin(&slot.name, artifact, manners)
        });
        Ok((!self.manners.is_silent).then_some(id))
    }

    async fn start_back(&self, cx: &Context, slot: &Slot, to: &Deploy) -> Result<Option<String>> {
        self.refuse_locked(slot)?;
        if self.manners.forgets {
            return Err(none(&to.id));
        }
        // It brings back a build, and changes no setting.
        let is_bound = self.manners.is_bound;
        let (configured, artifact) = self.at(slot, |place| {
            let old = place.deploys.iter().find(|one| one.deploy.id == to.id).unwrap();
            if is_bound {
                place.set.variables = old.set.variables.clone();
            }
            (place.configured.clone(), old.deploy.artifact.clone().unwrap())
        });
        let id = self.start(cx, slot, &Order::new(&artifact)).await;
        self.at(slot, |place| place.configured = configured);
        id
    }

    async fn cancel(&self, _: &Context, slot: &Slot, id: &str) -> Result<()> {
        self.at(slot, |place| {
            let found = place.deploys.iter_mut().find(|one| one.deploy.id == id);
            if let Some(one) = found.filter(|one| one.deploy.status.is_open()) {
                one.deploy.status = Status::Dropped("canceled".to_owned());
            }
        });
        Ok(())
    }

    async fn suspend(&self, _: &Context, slot: &Slot) -> Result<()> {
        self.set_suspended(slot, true);
        Ok(())
    }

    async fn resume(&self, _: &Context, slot: &Slot) -> Result<()> {
        self.set_suspended(slot, false);
        Ok(())
    }

    async fn evidence(&self, _: &Context, slot: &Slot, deploy: &Deploy) -> Vec<Evidence> {
        vec![Evidence::new(EvidenceKind::Status, &slot.name, format!("{:?}", deploy.status))]
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn lag(&self) -> Duration {
        LAG
    }
}
