import { sentenceOf } from '../../lib/errors.ts';
import { EventWriter } from '../../lib/kube/event-writer.ts';
import type { Logger } from '../../lib/log.ts';
import type { AddressRange } from '../../proto/report.ts';
import { Decisions } from '../api/decisions.ts';
import { Explainer } from '../api/explain.ts';
import { listenForApi } from '../api/listener.ts';
import type { Problem } from '../api/replies.ts';
import { nearLevels } from '../api/near-levels.ts';
import { placementSentence } from '../api/placement-notes.ts';
import { apiRoutes } from '../api/routes.ts';
import { AddressBook } from '../cluster/address-book.ts';
import type { ClusterEvent, ClusterSource, PodRecord } from '../cluster/model.ts';
import { clusterRanges } from '../cluster/ranges.ts';
import type { SnapshotSummary } from '../cluster/snapshot-file.ts';
import { SnapshotSource } from '../cluster/snapshot-source.ts';
import { ClusterState } from '../cluster/state.ts';
import { TrafficSource } from '../cluster/traffic-source.ts';
import { resolveTraffic, type TrafficRow } from '../cluster/traffic.ts';
import type { Answer } from '../extender/decision.ts';
import { NAMED_KINDS } from '../graph/cold-start.ts';
import { ClusterResolver } from '../graph/cluster-resolver.ts';
import { GraphSink } from '../graph/graph-sink.ts';
import { PlacementViewBuilder, type ViewMessage } from '../graph/placement-view-builder.ts';
import { ignoredText } from '../graph/ignored-distribution.ts';
import { RoutingSurvey } from '../graph/routing-survey.ts';
import { TrafficGraph } from '../graph/traffic-graph.ts';
import { connectKube } from '../kubernetes/credentials.ts';
import { KubeSource } from '../kubernetes/kube-source.ts';
import { staleSentence } from '../kubernetes/staleness.ts';
import type { RoutingClass } from '../placement/routing.ts';
import { startReportServer, type ReportServer } from '../ingest/report-server.ts';
import { liveProblem } from '../plan/live-problem.ts';
import { createStore, type GraphStore } from '../store/store.ts';
import { CERTIFICATE_POLL_MS, CertificateReloader, notAfter } from '../tls/certificates.ts';
import { readTlsMaterial, type TlsFiles, type TlsMaterial } from '../tls/material.ts';
import { BoundPods } from './bound-pods.ts';
import { newlyBound } from './newly-bound.ts';
import { PeerHintCheck } from './peer-hint-check.ts';
import { ingestMetrics } from './ingest-metrics.ts';
import { DECISIONS_EVERY_MS, type Readiness } from './messages.ts';
import type { SchedulerOptions } from './options.ts';
import { formatListen } from './listen-text.ts';
import { Planner, type PlannerOptions } from './planner.ts';

export interface IngestDeps {
  readonly logger: Logger;
  /** @param placed UIDs of pods that were bound since the view before */
  readonly onView: (view: ViewMessage, placed: readonly string[]) => void;
  readonly onReadiness: (readiness: Readiness) => void;
}

export interface Ingest {
  readonly agentsPort: number;
  readonly apiPort: number;
  /** Answers given to kube-scheduler since the call before. */
  decided(answers: readonly Answer[]): void;
  /** kube-scheduler had gone when it was answered about this pod. */
  late(podUid: string): void;
  metricsText(): Promise<string>;
  stop(): Promise<void>;
}

/** Views are looked after this often, and built at most so often that building takes a third of the thread's time. */
const VIEW_TICK_MS = 250;
const GRAPH_VIEW_MS = 1_000;
/** Also without a change: confidence falls while nobody reports, and a view holds what it was when it was built. */
const QUIET_VIEW_MS = 5_000;
const VIEW_COST_FACTOR = 2;
/** Events of one change of the cluster come together; the next pod may be waiting for them. */
const SOON_MS = 2;
/** Between two views; who waits for one that is left out waits in vain, once. */
const MAX_PLACED = 4_096;
const TRAFFIC_WARN_MS = 60_000;
/** Ranges walk all pods: at most this often. */
const RANGES_MS = 2_000;
/** From seeing a pod placed to telling about it: all answers that came before have arrived by then. */
const SETTLE_MS = 2 * DECISIONS_EVERY_MS + 100;
const EVENT_SOURCE = { component: 'netloom', controller: 'netloom.io/scheduler' };

/** Wall-clock time at the start, going on steadily: a step of the wall clock must end no stream and age no report. */
const now = (): number => performance.timeOrigin + performance.now();

/** Everything of the scheduler but the extender. One thread, one event loop; the store has a thread of its own. */
export async function startIngest(options: SchedulerOptions, deps: IngestDeps): Promise<Ingest> {
  const ingest = new IngestProcess(options, deps);
  try {
    await ingest.start();
  } catch (error) {
    await ingest.stop();
    throw error;
  }
  return ingest;
}

class IngestProcess implements Ingest {
  readonly #options: SchedulerOptions;
  readonly #deps: IngestDeps;
  readonly cluster = new ClusterState();
  readonly book = new AddressBook();
  readonly graph: TrafficGraph;
  readonly decisions = new Decisions((node, viewBuiltAtMs) => this.#views.nodeIndexOf(node, viewBuiltAtMs));
  readonly #resolver: ClusterResolver;
  readonly #views: PlacementViewBuilder;
  readonly #peerHints: PeerHintCheck;
  readonly #survey: RoutingSurvey;
  readonly #startedMs = now();
  readonly #closers: (() => unknown)[] = [];
  #server: ReportServer | undefined;
  #store: GraphStore | undefined;
  #planner: Planner | undefined;
  #snapshot: SnapshotSource | undefined;
  #kube: KubeSource | undefined;
  #events: EventWriter | undefined;
  #eventsUpToNodes = 0;
  /** Pods that were asked about and placed, until all their answers are here. */
  readonly #settling = new Map<string, NodeJS.Timeout>();
  readonly #bound: BoundPods;
  #calls: { readonly count: number; readonly lastMs: number | undefined } = { count: 0, lastMs: undefined };
  readonly #explainer: Explainer;
  #trafficRows: readonly TrafficRow[] = [];
  #unknownRows = 0;
  #trafficProblems: readonly Problem[] = [];
  #trafficPending = false;
  #trafficWarnedMs = Number.NEGATIVE_INFINITY;
  #readiness: Readiness = { ready: false, reason: 'starting' };
  #sourceFault: string | undefined;
  #trafficFault: string | undefined;
  #ranges: { readonly version: number; readonly atMs: number; readonly ranges: readonly AddressRange[] } | undefined;
  #shown = { cluster: -1, graph: -1, atMs: Number.NEGATIVE_INFINITY, costMs: 0 };
  #placed: string[] = [];
  #viewTimer: NodeJS.Timeout | undefined;
  agentsPort = 0;
  apiPort = 0;

  constructor(options: SchedulerOptions, deps: IngestDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#resolver = new ClusterResolver(this.cluster, this.book);
    this.graph = new TrafficGraph(this.#resolver, { coverGraceMs: options.clientGraceMs });
    const { linkBytesPerSecond, placement } = options;
    const viewOptions = { linkBytesPerSecond, maxReplicaShare: placement.maxReplicaShare };
    this.#views = new PlacementViewBuilder(this.graph, this.cluster, viewOptions);
    this.#survey = new RoutingSurvey(this.graph, this.cluster);
    this.#views.survey = this.#survey;
    const builder = (): PlacementViewBuilder => {
      const made = new PlacementViewBuilder(this.graph, this.cluster, viewOptions);
      made.target = this.#views.target;
      made.survey = this.#survey;
      return made;
    };
    const notes = (workload: string): string[] =>
      this.#views
        .ignoredDistributions()
        .filter(({ edge }) => edge.client === workload || edge.server === workload)
        .map((ignored) => `The proxy does not heed ${ignoredText(ignored)}.`);
    this.#explainer = new Explainer(this.graph, this.cluster, options.placement, this.decisions, builder, notes);
    this.#explainer.plan = () => this.#views.target;
    if (options.kubernetes !== undefined) this.#explainer.history = (uid) => this.#bound.outcomeOf(uid);
    this.#peerHints = new PeerHintCheck({
      exists: (namespace, name) =>
        this.cluster.service(namespace, name) !== undefined ||
        NAMED_KINDS.some((kind) => this.cluster.findWorkload(namespace, kind, name) !== undefined),
      tell: ({ namespace, name, uid }, message) => {
        if (this.#events?.admit() !== true) return;
        void this.#events.write({ namespace, name, uid, type: 'Warning', reason: 'InvalidPeersAnnotation', message });
      },
      logger: deps.logger,
    });
    this.#bound = new BoundPods({
      decisionOf: (uid, node) => this.decisions.ofUid(uid, node)?.decision,
      podOf: (uid) => this.cluster.pod(uid),
      workloadOf: (pod) => this.cluster.workloadOf(pod),
      nodeCount: () => this.cluster.nodeCount,
      logger: deps.logger,
    });
  }

  async start(): Promise<void> {
    const { store: path, listenAgents, agentsTls, insecureAgents, listenApi, version } = this.#options;
    const { logger } = this.#deps;
    if (path !== undefined) {
      const store = await createStore({ path, logger });
      this.#store = store;
      this.#closers.push(() => store.close());
    }
    if (this.#options.plan !== undefined) this.#startPlanner(this.#options.plan);
    const sink = new GraphSink({ graph: this.graph, store: this.#store, logger, now });
    sink.start();
    this.#closers.push(() => sink.stop());
    // What the cluster is comes first: a report that arrives before is held, but it costs.
    await this.#startSources();
    const tls = agentsTls === undefined ? undefined : await readTlsMaterial(agentsTls);
    const server = await startReportServer({
      listen: formatListen(listenAgents),
      ...(tls === undefined ? {} : { tls }),
      allowPlaintext: insecureAgents,
      sink,
      logger,
      ranges: () => this.#currentRanges(),
      now,
    });
    this.#server = server;
    this.#closers.push(() => server.close());
    if (agentsTls !== undefined && tls !== undefined) this.#reloadCertificate(agentsTls, tls);
    const api = await listenForApi({
      ...listenApi,
      logger,
      routes: apiRoutes({
        graph: this.graph,
        cluster: this.cluster,
        explainer: this.#explainer,
        version,
        startedMs: this.#startedMs,
        readiness: () => this.#readiness,
        problems: () => this.#problems(),
        kubeScheduler: () => ({ calls: this.#calls.count, lastCallMs: this.#calls.lastMs, bound: this.#bound.counts }),
        warnings: () => this.#warnings(),
        nowMs: now,
      }),
    });
    this.#closers.push(() => api.close());
    this.agentsPort = server.port;
    this.apiPort = api.port;
    this.#showView();
    const timer = setInterval(() => this.#tick(), VIEW_TICK_MS);
    this.#closers.push(() => {
      clearInterval(timer);
      clearTimeout(this.#viewTimer);
      for (const settling of this.#settling.values()) clearTimeout(settling);
    });
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        this.#deps.logger.warn('closing a part failed', { problem: error });
      }
    }
  }

  async metricsText(): Promise<string> {
    return ingestMetrics({
      graph: this.graph,
      cluster: this.cluster,
      book: this.book,
      server: this.#server?.stats(),
      store: this.#store?.status(),
      kube: this.#kube?.status(),
      events: this.#events?.stats,
      bound: this.#kube === undefined ? undefined : this.#bound.counts,
      plan: this.#planner?.status(),
      sourceFaults: {
        cluster: this.#sourceFault === undefined ? 0 : 1,
        traffic: this.#trafficFault === undefined ? 0 : 1,
      },
      decisions: this.decisions,
      ready: this.#readiness.ready,
      routings: routingCounts(this.#survey.edges),
      distributionsIgnored: this.#views.ignoredDistributions().length,
      workloadsHinted: this.#views.stats.workloadsHinted,
      viewBuildSeconds: this.#shown.costMs / 1000,
      viewAgeSeconds: (now() - this.#shown.atMs) / 1000,
    });
  }

  #startPlanner(options: PlannerOptions): void {
    const planner = new Planner(options, {
      maxZoneReplicaShare: this.#options.placement.maxZoneReplicaShare,
      logger: this.#deps.logger,
      now,
      saved: this.#store?.loadedPlan,
      onPlan: (plan) => {
        this.#views.target = plan;
        // Of a failure the store itself tells; the plan is made anew after a restart then.
        this.#store?.savePlan(plan).catch(() => {});
        this.#shown = { ...this.#shown, cluster: -1 };
      },
    });
    this.#planner = planner;
    this.#views.target = planner.plan;
    this.#closers.push(() => planner.stop());
  }

  async #startSources(): Promise<void> {
    const { traffic } = this.#options;
    const { logger } = this.#deps;
    // Traffic first: who is told that the cluster is known may rely on answers that use it.
    if (traffic !== undefined) {
      const source = new TrafficSource(traffic, { logger });
      this.#closers.push(() => source.stop());
      await source.start({
        rows: (rows: readonly TrafficRow[]) => {
          this.#trafficRows = rows;
          this.#trafficFault = undefined;
          this.#trafficPending = true;
        },
        failed: (error: unknown) => {
          this.#trafficFault = sentenceOf(error);
        },
      });
    }
    const source = await this.#clusterSource();
    if (source === undefined) {
      this.#setReadiness();
      return;
    }
    this.#closers.push(() => source.stop());
    this.#setReadiness();
    await source.start({
      apply: (events: readonly ClusterEvent[]) => {
        if (this.#kube !== undefined && this.#resolver.ready) this.#bound.changes(events, now());
        this.#notePlaced(events);
        this.#resolver.apply(events, now());
        this.#peerHints.changes(events);
        for (const { op, record } of events) if (op === 'upsert' && record.type === 'pod') this.#settleSoon(record);
        this.#showSoon();
      },
      synced: () => {
        this.#resolver.ready = true;
        this.#sourceFault = undefined;
        this.#trafficPending = true;
        this.#setReadiness();
        this.#showView();
      },
      failed: (error: unknown) => {
        this.#sourceFault = sentenceOf(error);
        this.#setReadiness();
      },
    });
  }

  async #clusterSource(): Promise<ClusterSource | undefined> {
    const { snapshot, kubernetes } = this.#options;
    const { logger } = this.#deps;
    if (kubernetes !== undefined) {
      const api = await connectKube(kubernetes);
      this.#kube = new KubeSource({ api, logger, now });
      this.#eventsUpToNodes = kubernetes.eventsUpToNodes;
      // 0: never, and then it may lack the right.
      if (kubernetes.eventsUpToNodes > 0) {
        this.#events = new EventWriter({ api, source: EVENT_SOURCE, logger, now });
      }
      return this.#kube;
    }
    if (snapshot === undefined) return undefined;
    this.#snapshot = new SnapshotSource(snapshot, { logger });
    return this.#snapshot;
  }

  #reloadCertificate(files: TlsFiles, current: TlsMaterial): void {
    const { logger } = this.#deps;
    const reloader = new CertificateReloader({
      files,
      current,
      intervalMs: CERTIFICATE_POLL_MS,
      changed: (read) => {
        this.#server?.changeTls(read);
        logger.info("certificate of the agents' listener changed", { validTo: notAfter(read).toISOString() });
      },
      failed: (error) => {
        logger.error(
          "certificate of the agents' listener not changed: the new files cannot be used, the old ones stay",
          {
            error,
          },
        );
      },
    });
    this.#closers.push(() => reloader.stop());
  }

  /** Before they are applied. */
  #notePlaced(events: readonly ClusterEvent[]): void {
    if (!this.#resolver.ready) return;
    for (const { uid } of newlyBound(events, (pod) => this.cluster.pod(pod))) {
      if (this.#placed.length < MAX_PLACED) this.#placed.push(uid);
    }
  }

  /** What was bound just now counts for the next pod, milliseconds later; a burst of events makes one view. */
  #showSoon(): void {
    if (this.#viewTimer !== undefined || !this.#resolver.ready) return;
    this.#viewTimer = setTimeout(
      () => {
        this.#viewTimer = undefined;
        this.#showView();
        // Timers count whole milliseconds, and this one may have been too early for a view.
        if (this.cluster.version !== this.#shown.cluster) this.#showSoon();
      },
      Math.max(SOON_MS, this.#shown.costMs * VIEW_COST_FACTOR - (now() - this.#shown.atMs)),
    );
  }

  decided(answers: readonly Answer[]): void {
    const last = answers.at(-1)?.decision;
    if (last !== undefined) this.#calls = { count: this.#calls.count + answers.length, lastMs: last.atMs };
    for (const answer of answers) {
      if (this.#isSettled(answer.decision.podUid)) continue;
      this.decisions.add(answer);
      const pod = this.cluster.pod(answer.decision.podUid);
      if (pod !== undefined) this.#settleSoon(pod);
    }
  }

  /** A pod that stands since long: whoever asks about it is not kube-scheduler, and led to nothing. */
  #isSettled(podUid: string): boolean {
    if (this.#kube === undefined || this.cluster.pod(podUid)?.node === undefined) return false;
    const outcome = this.#bound.outcomeOf(podUid);
    // Of one that was bound when it was first seen, answers may be on their way as well.
    return outcome !== 'settling' && outcome !== 'given';
  }

  late(podUid: string): void {
    if (this.#isSettled(podUid)) return;
    this.#bound.late(podUid);
    this.decisions.withdraw(podUid);
  }

  /** The watch may show where a pod was put before the last answers about it have come over from the extender's thread. */
  #settleSoon({ uid, node }: PodRecord): void {
    if (node === undefined || this.#settling.has(uid) || !this.decisions.isOpen(uid)) return;
    const timer = setTimeout(() => {
      this.#settling.delete(uid);
      const pod = this.cluster.pod(uid);
      this.decisions.settle(uid, node);
      if (pod !== undefined) this.#tellPlacement(pod, node);
    }, SETTLE_MS);
    this.#settling.set(uid, timer);
  }

  /** Once a pod. */
  #tellPlacement(pod: PodRecord, node: string): void {
    const events = this.#events;
    if (events === undefined || this.cluster.nodeCount > this.#eventsUpToNodes) return;
    const decision = this.decisions.ofUid(pod.uid, node)?.decision;
    if (decision === undefined || decision.top.length === 0 || !events.admit()) return;
    const explanation = this.#explainer.atNode(decision.workload, pod.uid, node, now(), pod.soft === true);
    const message = placementSentence(decision, node, explanation, nearLevels(this.cluster, node));
    if (message === undefined) return;
    const { namespace, name, uid } = pod;
    void events.write({ namespace, name, uid, type: 'Normal', reason: 'NetworkAwarePlacement', message });
  }

  #tick(): void {
    this.book.expire(now());
    this.#bound.tick(now());
    if (this.#resolver.ready) this.#survey.step(now());
    this.#server?.rangesChanged();
    // An old state grows older without anything happening.
    this.#setReadiness();
    this.#showView();
  }

  /**
   * Builds a view when the cluster changed (at once) or the graph did (about once a second): what was just bound or
   * deleted counts for the next question.
   */
  #showView(): void {
    if (!this.#resolver.ready) return;
    const nowMs = now();
    const sinceMs = nowMs - this.#shown.atMs;
    const clusterChanged = this.cluster.version !== this.#shown.cluster;
    // What a row names may have come since.
    if (this.#trafficPending || (clusterChanged && this.#trafficProblems.length > 0)) this.#applyTraffic();
    const graphChanged = sinceMs >= (this.graph.version === this.#shown.graph ? QUIET_VIEW_MS : GRAPH_VIEW_MS);
    if ((!clusterChanged && !graphChanged) || sinceMs < this.#shown.costMs * VIEW_COST_FACTOR) return;
    const from = performance.now();
    const view = this.#views.build(nowMs);
    this.#shown = {
      cluster: this.cluster.version,
      graph: this.graph.version,
      atMs: nowMs,
      costMs: performance.now() - from,
    };
    if (this.#planner?.isDue() === true) {
      const traffic = { names: this.#views.workloadNames, nodeNames: this.#views.nodeNames, ...view.arrays };
      this.#planner.look(() => liveProblem(this.cluster, traffic, this.#options.placement.maxReplicaShare));
    }
    this.#deps.onView(view, this.#placed.splice(0));
  }

  #applyTraffic(): void {
    this.#trafficPending = false;
    const { edges, unknown, deserted } = resolveTraffic(this.#trafficRows, this.cluster);
    this.graph.setFileTraffic(edges);
    const before = this.#unknownRows;
    this.#unknownRows = unknown.count;
    this.#trafficProblems = [
      { what: 'traffic rows name what is not in the cluster', ...unknown },
      { what: 'traffic rows name a Service without workloads behind it', ...deserted },
    ]
      .filter(({ count }) => count > 0)
      .map(({ what, count, samples }) => ({ what, count, sample: samples.join('; ') }));
    // Workloads come and go, and the figure with them: `netloom graph` shows the present one.
    if (unknown.count !== before && unknown.count > 0 && now() - this.#trafficWarnedMs >= TRAFFIC_WARN_MS) {
      this.#trafficWarnedMs = now();
      this.#deps.logger.warn('traffic rows name what is not in the cluster', {
        rows: unknown.count,
        samples: unknown.samples,
      });
    }
  }

  #setReadiness(): void {
    const readiness: Readiness = this.#resolver.ready
      ? {
          ready: true,
          reason: this.#staleState() ?? '',
        }
      : {
          ready: false,
          reason:
            this.#sourceFault ??
            (this.#kube !== undefined
              ? 'listing what the API server has'
              : this.#options.snapshot === undefined
                ? 'no cluster state: neither --snapshot, --kubeconfig nor --in-cluster was given'
                : 'reading the snapshot'),
        };
    if (readiness.ready === this.#readiness.ready && readiness.reason === this.#readiness.reason) return;
    this.#readiness = readiness;
    this.#deps.onReadiness(readiness);
  }

  /** What is wrong with the cluster state that is used, as a sentence; undefined: nothing. */
  #staleState(): string | undefined {
    if (this.#kube !== undefined) return staleSentence(this.#kube.status());
    return this.#sourceFault === undefined ? undefined : `the last good state is used: ${this.#sourceFault}`;
  }

  #warnings(): string[] {
    const { ready, reason } = this.#readiness;
    if (!ready) return [`the scheduler has no opinions yet: ${reason}`];
    return reason === '' ? [] : [reason];
  }

  #problems(): Problem[] {
    const stale = this.#resolver.ready && this.#kube !== undefined ? this.#staleState() : this.#sourceFault;
    const faults = [stale, this.#trafficFault].filter((fault) => fault !== undefined);
    return [
      ...faults.map((sample) => ({
        what: `a source of cluster state or traffic cannot be read${this.#resolver.ready ? '; its last good state is used' : ''}`,
        count: 1,
        sample,
      })),
      ...(this.#snapshot?.summary === undefined ? [] : snapshotProblems(this.#snapshot.summary)),
      ...oddProblem(this.#kube?.odd ?? []),
      ...this.#trafficProblems,
      ...this.#peerHints.problems(),
      ...this.#routingProblems(),
      ...this.#bound.problems(now()),
    ];
  }

  #routingProblems(): Problem[] {
    const ignored = this.#views.ignoredDistributions();
    const [first] = ignored;
    return first === undefined
      ? []
      : [
          {
            what: "Services' trafficDistribution is not heeded: their proxy sends clients anywhere",
            count: ignored.length,
            sample: ignoredText(first),
          },
        ];
  }

  #currentRanges(): readonly AddressRange[] {
    const nowMs = now();
    const known = this.#ranges;
    const { version } = this.cluster;
    if (known !== undefined && (known.version === version || nowMs - known.atMs < RANGES_MS)) return known.ranges;
    const ranges = this.#resolver.ready ? clusterRanges(this.cluster) : [];
    this.#ranges = { version, atMs: nowMs, ranges };
    return ranges;
  }
}

/** Of `kubectl get pods`, or of a single object, a file can be read, and is of no use. */
const ASK_FOR_ALL = 'kubectl get nodes,pods,services,deployments,replicasets,statefulsets,daemonsets -A -o json';

function snapshotProblems({ nodes, pods, unusable, odd, repeated }: SnapshotSummary): Problem[] {
  return [
    ...(nodes > 0
      ? []
      : [{ what: 'the snapshot holds no nodes: no pod can be placed', count: pods, sample: ASK_FOR_ALL }]),
    ...(pods > 0
      ? []
      : [{ what: 'the snapshot holds no pods: none can be near another', count: nodes, sample: ASK_FOR_ALL }]),
    ...unusable.map(({ what, count, sample }) => ({ what: `objects cannot be used: ${what}`, count, sample })),
    ...odd.map(({ what, count, sample }) => ({ what: `objects are used but for a field: ${what}`, count, sample })),
    ...(repeated > 0 ? [{ what: 'objects stand in the snapshot more than once', count: repeated, sample: '' }] : []),
  ];
}

function oddProblem(odd: readonly string[]): Problem[] {
  const [sample] = odd;
  return sample === undefined ? [] : [{ what: 'objects are used but for a field', count: odd.length, sample }];
}

function routingCounts(edges: RoutingSurvey['edges']): Record<RoutingClass, number> {
  const counts = { random: 0, 'same-zone': 0, 'same-node': 0, pinned: 0 };
  for (const { routing } of edges) counts[routing]++;
  return counts;
}
