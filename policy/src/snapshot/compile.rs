//! Configuration → snapshot. What outlives snapshots is carried over from the previous one by id.

use std::sync::Arc;

use ahash::AHashMap;
use ringway_adapters::ir::Mode;
use ringway_adapters::provider::{self, Auth, Provider};

use super::credential::Signing;
use super::{
    BUILTIN_MODEL, Candidate, Credential, Endpoint, Mirror, Models, Proxy, Route, Served, Snapshot, Targets, TlsMaterial, Upstream,
    UsageMode, keys,
};
use crate::condition::Condition;
use crate::config::{At, Audited, Config, Credentials, Problem, ProviderConfig, RouteConfig, Selector};
use crate::cors::Cors;
use crate::key::{Access, Coverage, Principal};
use crate::pattern::Pattern;
use crate::plan::{Rules, Trigger, Triggers};
use crate::quota;

impl Snapshot {
    /// As `compile_for`, for one shard: what tools and tests look at.
    ///
    /// # Errors
    /// As `compile_for`.
    pub fn compile(config: &Config, builtins: &[Provider], previous: Option<&Snapshot>, revision: u64) -> Result<Snapshot, Vec<Problem>> {
        Snapshot::compile_for(config, builtins, previous, revision, 1)
    }

    /// Compiles a configuration that `config::parse` accepted, to be served by so many shards. Breakers, retry budgets, resting credentials, resolved addresses
    /// and the accounts of limits and budgets of `previous` live on where their ids do; `Quotas::enact` gives accounts their new
    /// amounts.
    ///
    /// # Errors
    /// References that do not resolve; none where `parse` was given the same built-ins.
    pub fn compile_for(
        config: &Config,
        builtins: &[Provider],
        previous: Option<&Snapshot>,
        revision: u64,
        shard_count: usize,
    ) -> Result<Snapshot, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut quotas = quota::Compiler::new(config, previous.map(|previous| &*previous.quotas), shard_count, revision);
        let models = models_by_provider(config);
        let mut providers: Vec<Upstream> =
            builtins.iter().filter(|provider| provider.is_builtin()).map(|provider| builtin_upstream(provider, previous)).collect();
        for (name, provider) in config.providers.iter() {
            let named = models.get(name.value.as_str()).map(Vec::as_slice).unwrap_or_default();
            match upstream(name, provider, named, builtins, previous, config, &mut quotas, &mut problems) {
                Ok(upstream) => providers.push(upstream),
                Err(problem) => problems.push(problem),
            }
        }
        let providers_by_name: AHashMap<Arc<str>, usize> =
            providers.iter().enumerate().map(|(index, upstream)| (upstream.name.clone(), index)).collect();
        let anyone = Access { explain: config.explain.unwrap_or(true), ..Access::default() };
        let mut snapshot = Snapshot {
            revision,
            providers,
            anonymous: Arc::new(Principal {
                quotas: quota::Held::Shared(quotas.of_all()),
                access: Arc::new(anyone),
                ..Principal::anonymous()
            }),
            keys: Arc::default(),
            routes: Arc::from([]),
            rules: Arc::new(Rules::default()),
            body_bytes_max: body_bytes_max(config),
            quotas: Arc::default(),
            queue: config.queue_bounds(),
            cors: Cors::new(config.cors.iter().flat_map(|cors| &cors.origins).map(|at| at.value.as_str())),
            audited_teams: audited_teams(config),
            routes_by_name: Arc::default(),
            aliases: Arc::default(),
            patterns: Arc::from([]),
            providers_by_name: Arc::new(providers_by_name),
        };
        let principals = keys::compile(config, &snapshot, previous, &mut quotas);
        snapshot.quotas = Arc::new(quotas.finish(config).with_keys(principals.iter(), previous.map(|previous| &*previous.quotas)));
        let coverage = previous.map_or(Coverage::Whole, |previous| previous.keys.coverage());
        snapshot.keys = Arc::new(keys::table(config, principals).covering(coverage));
        snapshot.route(config, previous, &mut problems);
        if problems.is_empty() { Ok(snapshot) } else { Err(problems) }
    }

    /// This snapshot with other routes and aliases, as `revision`: all else is shared. `config` differs from what it was made of in
    /// those alone.
    ///
    /// # Errors
    /// References that do not resolve.
    pub fn with_routes(&self, config: &Config, revision: u64) -> Result<Snapshot, Vec<Problem>> {
        let mut problems = Vec::new();
        let models = models_by_provider(config);
        let body_bytes_max = body_bytes_max(config);
        let mut snapshot = Snapshot { revision, body_bytes_max, ..self.clone() };
        let by_name = config.providers.by_name();
        for upstream in snapshot.providers.iter_mut().filter(|upstream| !upstream.builtin) {
            let Some(provider) = by_name.get(&*upstream.name) else { continue };
            let named = models.get(&*upstream.name).map(Vec::as_slice).unwrap_or_default();
            upstream.targets = Arc::new(Targets::new(&upstream.name, named, Some(&*upstream.targets)));
            upstream.facts = Arc::new(Models::new(provider, &upstream.provider, named, &mut problems));
        }
        snapshot.route(config, Some(self), &mut problems);
        if problems.is_empty() { Ok(snapshot) } else { Err(problems) }
    }

    /// Gives the snapshot its routes and aliases; it has its providers.
    fn route(&mut self, config: &Config, previous: Option<&Snapshot>, problems: &mut Vec<Problem>) {
        let routes: Vec<Arc<Route>> =
            config.routes.iter().map(|(name, route)| Arc::new(compile_route(self, name, route, previous, problems))).collect();
        self.aliases = Arc::new(aliases(self, config, problems));
        let exact = routes.iter().enumerate().filter(|(_, route)| !route.is_pattern());
        self.routes_by_name = Arc::new(exact.map(|(index, route)| (route.name.clone(), index)).collect());
        let patterns = routes.iter().enumerate().filter(|(_, route)| route.is_pattern());
        let mut patterns: Vec<(Pattern, usize)> = patterns.map(|(index, route)| (Pattern::new(&route.name), index)).collect();
        // The sort is stable: equally literal patterns keep the order of the file.
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.literal_bytes()));
        self.patterns = patterns.into();
        self.routes = routes.into();
    }
}

fn body_bytes_max(config: &Config) -> Option<usize> {
    config.routes.iter().filter_map(|(_, route)| route.body_bytes_max.as_ref()).map(|at| at.value).max()
}

/// The models that the file names, by provider: each has target state of its own.
fn models_by_provider(config: &Config) -> AHashMap<&str, Vec<&str>> {
    let mut models: AHashMap<&str, Vec<&str>> = AHashMap::new();
    let routed = config.routes.iter().flat_map(|(_, route)| route.models()).chain(config.aliases.iter().map(|(_, model)| model));
    let routed = routed.filter_map(|model| model.value.split_once('/'));
    let listed =
        config.providers.iter().flat_map(|(name, provider)| provider.models.iter().map(move |model| (&*name.value, &*model.name.value)));
    for (provider, model) in routed.chain(listed).filter(|(_, model)| !model.contains('*')) {
        models.entry(provider).or_default().push(model);
    }
    models
}

#[allow(clippy::too_many_arguments)]
fn upstream(
    name: &At<String>,
    config: &ProviderConfig,
    models: &[&str],
    builtins: &[Provider],
    previous: Option<&Snapshot>,
    whole: &Config,
    quotas: &mut quota::Compiler<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Upstream, Problem> {
    let base = config.like.as_ref().unwrap_or(name);
    let known = builtins.iter().find(|provider| provider.is_called(&base.value));
    if known.is_none() && !config.stands_alone() {
        return Err(base.problem(format!("{:?} is no built-in provider", base.value)));
    }
    let mut provider = config.provider(&name.value, known).map_err(|message| name.problem(message))?;
    if let Some(version) = &config.api_version {
        provider.quirks.api_version = version.value.clone();
    }
    for (variable, value) in &config.variables {
        provider.fill(&variable.value, &value.value);
    }
    let url = config.base_url.as_ref().map_or(provider.base_url.as_str(), |url| url.value.as_str());
    let endpoint = Endpoint::parse(url).map_err(|message| config.base_url.as_ref().unwrap_or(name).problem(message))?;
    let proxy = match &config.proxy {
        None => Proxy::Environment,
        Some(proxy) if proxy.value == "none" => Proxy::Direct,
        Some(proxy) => Proxy::Via(Endpoint::parse(&proxy.value).map_err(|message| proxy.problem(message))?),
    };
    let before = previous.and_then(|snapshot| snapshot.provider_index(&name.value).map(|index| &snapshot.providers[index]));
    // What a built-in provider is known to serve says nothing of a server that is only compatible with it.
    let known = if config.like.is_none() { provider.models.as_slice() } else { &[] };
    let model_patterns = known.iter().map(|pattern| Pattern::new(pattern)).collect();
    let mut upstream = Upstream {
        name: name.value.as_str().into(),
        endpoint,
        credentials: credentials(name, config, &provider, before, quotas),
        fetch: super::fetch::wanted(config, &provider),
        usage: config.usage.as_ref().map(|at| at.value).unwrap_or_default(),
        caller_credentials: matches!(&config.credentials, Some(at) if matches!(at.value, Credentials::Caller)),
        builtin: false,
        models: config.models.iter().map(|model| Arc::from(model.name.value.as_str())).collect(),
        model_patterns,
        tls: Arc::new(TlsMaterial {
            ca_pem: config.ca.as_ref().map(|pem| pem.bytes.clone()),
            client_cert_pem: config.client_cert.as_ref().map(|pem| pem.bytes.clone()),
            client_key_pem: config.client_key.as_ref().map(|pem| pem.bytes.clone()),
        }),
        proxy,
        quotas: of_provider(name, config, whole, quotas),
        served: served(&provider),
        targets: Arc::new(Targets::new(&name.value, models, before.map(|before| &*before.targets))),
        facts: Arc::new(Models::new(config, &provider, models, problems)),
        provider: Arc::new(provider),
    };
    if let Some(before) = before {
        carry_addresses(&mut upstream.endpoint, &before.endpoint);
        if let (Proxy::Via(new), Proxy::Via(old)) = (&mut upstream.proxy, &before.proxy) {
            carry_addresses(new, old);
        }
    }
    Ok(upstream)
}

fn carry_addresses(new: &mut Endpoint, old: &Endpoint) {
    if new.addresses.is_empty() && new.host == old.host && new.port == old.port {
        new.addresses = old.addresses.clone();
    }
}

/// Those that stand at the provider, then those of the whole file that name it.
fn of_provider(name: &At<String>, config: &ProviderConfig, whole: &Config, quotas: &mut quota::Compiler<'_>) -> quota::List {
    let own = quotas.list("provider", &[&name.value], &config.limits, &config.budgets);
    let selected = quotas.selected(whole, "provider", &[&name.value], &Selector::Provider(name.value.clone()));
    if selected.is_empty() { own } else { own.iter().cloned().chain(selected).collect() }
}

fn credentials(
    name: &At<String>,
    config: &ProviderConfig,
    provider: &Provider,
    before: Option<&Upstream>,
    quotas: &mut quota::Compiler<'_>,
) -> Arc<[Credential]> {
    let token = config.access_token.as_ref().filter(|_| config.keys.is_empty());
    let token = token.map(|token| Credential::new("access-token", &token.value, 1, &Auth::Bearer));
    let signing = signing(config, provider).map(|signing| Credential::signing("access-key", signing));
    let keys = config.keys.iter().map(|key| {
        let quotas = quotas.list("credential", &[&name.value, &key.name], &key.limits, &key.budgets);
        Credential { quotas, ..Credential::new(&key.name, &key.value.value, key.weight, &provider.auth) }
    });
    let carried = keys.chain(token).chain(signing).map(|mut credential| {
        // A new secret under an old name starts rested.
        let same = |old: &&Credential| old.name == credential.name && old.value == credential.value;
        if let Some(old) = before.and_then(|before| before.credentials.iter().find(same)) {
            credential.state = old.state.clone();
        }
        credential
    });
    carried.collect()
}

/// What requests are signed with, where the provider wants that and no key is there that goes as it is.
fn signing(config: &ProviderConfig, provider: &Provider) -> Option<Signing> {
    let Auth::Sigv4 { service } = &provider.auth else { return None };
    let (id, secret) = (config.access_key_id.as_ref()?, config.secret_access_key.as_ref()?);
    let region = config.variables.iter().find(|(name, _)| name.value == provider::REGION)?;
    (config.keys.is_empty() && config.access_token.is_none()).then(|| Signing {
        access_key_id: id.value.as_str().into(),
        secret_access_key: secret.value.as_str().into(),
        session_token: config.session_token.as_ref().map(|token| token.value.as_str().into()),
        region: region.1.value.as_str().into(),
        service: service.as_str().into(),
    })
}

/// The provider that is always there.
fn builtin_upstream(provider: &Provider, previous: Option<&Snapshot>) -> Upstream {
    if let Some(upstream) = previous.and_then(|snapshot| snapshot.providers.iter().find(|upstream| upstream.builtin)) {
        return upstream.clone();
    }
    let name = provider.name.as_str();
    Upstream {
        name: name.into(),
        endpoint: Endpoint {
            tls: false,
            host: name.into(),
            port: 0,
            authority: name.into(),
            prefix: "".into(),
            addresses: Arc::default(),
            unix: None,
        },
        credentials: Arc::from([]),
        fetch: None,
        usage: UsageMode::Tap,
        caller_credentials: false,
        builtin: true,
        models: Arc::from([Arc::from(BUILTIN_MODEL)]),
        model_patterns: Arc::from([]),
        tls: Arc::default(),
        proxy: Proxy::Direct,
        quotas: Arc::from([]),
        served: served(provider),
        targets: Arc::new(Targets::new(name, &[BUILTIN_MODEL], None)),
        facts: Arc::new(Models::free()),
        provider: Arc::new(provider.clone()),
    }
}

fn served(provider: &Provider) -> Arc<[Served]> {
    let rows = provider.operations.iter();
    rows.map(|row| Served {
        operation: row.operation,
        dialect: row.dialect,
        paths: [Mode::Whole, Mode::Stream].map(|mode| row.path(mode).into()),
        body: row.body.clone().map(Arc::new),
        models: row.models.iter().map(|pattern| Pattern::new(pattern)).collect(),
    })
    .collect()
}

/// `provider/model` → the provider's index and the model there.
fn find<'m>(snapshot: &Snapshot, model: &'m At<String>, problems: &mut Vec<Problem>) -> Option<(usize, &'m str)> {
    let found = model.value.split_once('/').and_then(|(provider, rest)| Some((snapshot.provider_index(provider)?, rest)));
    if found.is_none() {
        problems.push(model.problem(format!("{:?} is no provider/model of this file", model.value)));
    }
    found
}

fn aliases(snapshot: &Snapshot, config: &Config, problems: &mut Vec<Problem>) -> AHashMap<Arc<str>, (usize, Arc<str>)> {
    let mut aliases = AHashMap::new();
    for (name, model) in config.aliases.iter() {
        if let Some((provider, rest)) = find(snapshot, model, problems) {
            aliases.insert(name.value.as_str().into(), (provider, rest.into()));
        }
    }
    aliases
}

fn compile_route(
    snapshot: &Snapshot,
    name: &At<String>,
    config: &RouteConfig,
    previous: Option<&Snapshot>,
    problems: &mut Vec<Problem>,
) -> Route {
    let mut candidate = |model: &At<String>, weight: u32, on: Option<Triggers>, when: Option<&At<Condition>>| {
        let (provider, rest) = find(snapshot, model, problems)?;
        let target = (!rest.contains('*')).then(|| snapshot.target(provider, rest));
        Some(Candidate { provider, model: rest.into(), weight, on, target, when: when.map(|when| when.value.clone()) })
    };
    let targets = config.targets.iter().filter_map(|target| candidate(&target.model, target.weight, None, target.when.as_ref())).collect();
    let typed = |on: &Vec<Trigger>| on.iter().copied().collect();
    let fallbacks = config.fallbacks.iter();
    let fallbacks = fallbacks.filter_map(|fallback| candidate(&fallback.model, 1, fallback.on.as_ref().map(typed), fallback.when.as_ref()));
    let fallbacks = fallbacks.collect();
    let mirror = config.mirror.as_ref();
    let mirror = mirror.and_then(|mirror| Some(Mirror { target: candidate(&mirror.model, 1, None, None)?, share: mirror.share }));
    let before = previous.and_then(|snapshot| snapshot.routes.iter().find(|route| *route.name == *name.value));
    Route {
        name: name.value.as_str().into(),
        when: config.when.as_ref().map(|when| when.value.clone()),
        targets,
        fallbacks,
        rules: Arc::new(rules(config)),
        strategy: config.strategy.clone().unwrap_or_default(),
        mirror,
        state: before.map(|route| route.state.clone()).unwrap_or_default(),
    }
}

/// The teams whose exchanges the audit log holds.
fn audited_teams(config: &Config) -> Arc<[Arc<str>]> {
    let asks = config.teams.iter().filter(|(_, team)| team.audit.as_ref().is_some_and(|at| at.value == Audited::Requests));
    asks.map(|(name, _)| name.value.as_str().into()).collect()
}

fn rules(config: &RouteConfig) -> Rules {
    let default = Rules::default();
    let timeouts = config.timeouts.clone().unwrap_or_default();
    Rules {
        retries: config.retries.as_ref().map_or(default.retries, |at| at.value as u32),
        connect: timeouts.connect.map_or(default.connect, |at| at.value),
        first_byte: timeouts.first_byte.map_or(default.first_byte, |at| at.value),
        idle: timeouts.idle.map_or(default.idle, |at| at.value),
        total: timeouts.total.map_or(default.total, |at| at.value),
        session: timeouts.session.map_or(default.session, |at| at.value),
        session_idle: timeouts.session_idle.map_or(default.session_idle, |at| at.value),
        rescue: config.rescue.unwrap_or_default(),
        losses: config.losses.unwrap_or_default(),
        body_bytes_max: config.body_bytes_max.as_ref().map(|at| at.value),
        breaker: config.breaker.as_ref().map_or(default.breaker, |breaker| breaker.settings()),
        on: config.on.as_ref().map_or(default.on, |on| on.iter().copied().collect()),
        unpriced: config.unpriced.unwrap_or_default(),
        hedge: config.hedge,
        priority: config.priority.as_ref().map(|at| at.value),
        audited: config.audit.as_ref().is_some_and(|at| at.value == Audited::Requests),
    }
}
