import { Counter, Gauge, Registry } from 'prom-client';
import type { EventWriterStats } from '../../lib/kube/event-writer.ts';
import type { AddressBook } from '../cluster/address-book.ts';
import type { ClusterState } from '../cluster/state.ts';
import { agentStatus } from '../graph/agent-status.ts';
import { lostCounts } from '../graph/counters.ts';
import { rowNumbers } from '../graph/edge-views.ts';
import type { TrafficGraph } from '../graph/traffic-graph.ts';
import type { KubeSourceStatus } from '../kubernetes/kube-source.ts';
import type { ReportServerStats } from '../ingest/report-server.ts';
import type { StoreStatus } from '../store/store.ts';
import type { RoutingClass } from '../placement/routing.ts';
import type { Fate } from './bound-pods.ts';
import type { PlannerStatus } from './planner.ts';

export interface IngestState {
  readonly graph: TrafficGraph;
  readonly cluster: ClusterState;
  readonly book: AddressBook;
  readonly server: ReportServerStats | undefined;
  readonly store: StoreStatus | undefined;
  readonly kube: KubeSourceStatus | undefined;
  readonly events: EventWriterStats | undefined;
  readonly bound: Readonly<Record<Fate, number>> | undefined;
  readonly plan: PlannerStatus | undefined;
  readonly sourceFaults: Readonly<Record<'cluster' | 'traffic', number>>;
  readonly decisions: { readonly size: number; readonly forgotten: number };
  readonly ready: boolean;
  /** Edges whose connections were seen to find their servers in a way. */
  readonly routings: Readonly<Record<RoutingClass, number>>;
  readonly distributionsIgnored: number;
  readonly workloadsHinted: number;
  readonly viewBuildSeconds: number;
  readonly viewAgeSeconds: number;
}

/** A family (`_total`: a counter) without labels, or with one label that has a handful of values: none grows with the cluster. */
type Family = readonly [name: string, help: string, value: number | Readonly<Record<string, number>>, label?: string];

/** Prometheus text of the ingest thread. Counters are read where they are kept; nothing is counted twice for the scrape. */
export async function ingestMetrics(state: IngestState): Promise<string> {
  const registry = new Registry();
  for (const [name, help, value, label] of families(state)) {
    const about = { name, help, labelNames: label === undefined ? [] : [label], registers: [registry] };
    const entries = typeof value === 'number' ? [[undefined, value] as const] : Object.entries(value);
    if (name.endsWith('_total')) {
      const counter = new Counter(about);
      for (const [key, figure] of entries) counter.inc(key === undefined ? {} : { [label!]: key }, figure);
    } else {
      const gauge = new Gauge(about);
      for (const [key, figure] of entries) gauge.set(key === undefined ? {} : { [label!]: key }, figure);
    }
  }
  return `${await registry.metrics()}\n`;
}

function families({ graph, cluster, book, server, store, kube, events, bound, plan, ...rest }: IngestState): Family[] {
  const lost = Object.fromEntries(
    Object.entries(lostCounts(graph)).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
  const agents: Record<string, number> = { reporting: 0, late: 0, silent: 0, waiting: 0 };
  for (const { state } of agentStatus(graph)) agents[state]!++;
  const addresses = book.stats();
  const { edges } = graph;
  return [
    ['netloom_cluster_ready', 'Whether the cluster state was read.', rest.ready ? 1 : 0],
    [
      'netloom_source_faults',
      'Whether what tells the cluster state, or the traffic file, cannot be read now; its last good state is used.',
      rest.sourceFaults,
      'source',
    ],
    [
      'netloom_cluster_objects',
      'Objects of the cluster state.',
      { nodes: cluster.nodeCount, pods: cluster.podCount, workloads: cluster.workloadCount },
      'kind',
    ],
    ['netloom_agents', 'Nodes from which an agent was heard, by state.', agents, 'state'],
    [
      'netloom_graph_edges',
      'Edges of the traffic graph.',
      { workload: [...rowNumbers(edges.workloads)].length, pod: [...rowNumbers(edges.pods)].length },
      'level',
    ],
    ['netloom_graph_endpoints', 'Ends of edges.', edges.endpoints.size],
    [
      'netloom_graph_lost_total',
      'What the graph does not hold, since the start, by reason (docs: netloom graph --counters).',
      lost,
      'reason',
    ],
    [
      'netloom_addresses',
      'Addresses owned now, and intervals kept of the past.',
      { live: addresses.live, ended: addresses.ended },
      'state',
    ],
    ['netloom_address_conflicts_total', 'Times that two living pods showed one address.', addresses.conflicts],
    [
      'netloom_edge_routing',
      'Workload edges by how their connections were seen to find their servers; of the others too little is known.',
      { ...rest.routings },
      'routing',
    ],
    [
      'netloom_services_distribution_ignored',
      'Services whose trafficDistribution their proxy does not heed, by what was measured.',
      rest.distributionsIgnored,
    ],
    [
      'netloom_workloads_hinted',
      'Workloads without known traffic that are placed by what is said or thought of their peers.',
      rest.workloadsHinted,
    ],
    ['netloom_view_build_seconds', 'What building the last placement view took.', rest.viewBuildSeconds],
    ['netloom_view_age_seconds', 'Age of the placement view; it is built anew on change only.', rest.viewAgeSeconds],
    ['netloom_decisions_kept', 'Answers that explain can show.', rest.decisions.size],
    ['netloom_decisions_forgotten_total', 'Answers that had to go for newer ones.', rest.decisions.forgotten],
    ...(kube === undefined ? [] : kubeFamilies(kube)),
    ...(bound === undefined
      ? []
      : [
          [
            'netloom_pods_bound_total',
            'Pods that were seen to be bound, by what became of our answer: followed (on the best node of it), overruled (on ' +
              'another), no_opinion, late (kube-scheduler had gone), not_asked (though it asked for earlier pods of the ' +
              'workload; also one node left, or nominated), never_asked (for no pod of the workload). Without DaemonSets.',
            bound,
            'answer',
          ] as Family,
        ]),
    ...(plan === undefined ? [] : planFamilies(plan)),
    ...(events === undefined
      ? []
      : [
          [
            'netloom_kube_pod_events_total',
            'Events on pods, by what became of them.',
            { ...events },
            'result',
          ] as Family,
        ]),
    ...(server === undefined ? [] : serverFamilies(server)),
    ...(store === undefined ? [] : storeFamilies(store)),
  ];
}

function planFamilies(status: PlannerStatus): Family[] {
  const { plan, ageSeconds, targetShare, standingShare, drift, unplanned, running } = status;
  const known = (value: number | undefined): number => value ?? -1;
  return [
    ['netloom_plan_version', 'Version of the placement plan; 0: there is none.', plan?.version ?? 0],
    ['netloom_plan_age_seconds', 'Since the plan was made; -1: there is none.', known(ageSeconds)],
    [
      'netloom_plan_local_share',
      'Share of the traffic between workloads that would stay on a node (balanced routing), 0..1, -1: not known: as planned when ' +
        'the plan was made; of the plan with present traffic; of what stands.',
      { planned: known(plan?.localShare.node), target: known(targetShare), standing: known(standingShare) },
      'of',
    ],
    [
      'netloom_plan_drift',
      'What the plan has lost of its local share since it was made; 0 without a plan.',
      drift ?? 0,
    ],
    [
      'netloom_plan_unplanned',
      'Share of the replicas of talking workloads that the plan does not know.',
      unplanned ?? (plan === undefined ? 1 : 0),
    ],
    ['netloom_plan_compute_seconds', 'CPU time of the last computation.', status.lastComputeSeconds],
    ['netloom_plan_running', 'Share of the running computation that is done; -1: none is running.', known(running)],
    [
      'netloom_plan_computations_total',
      'Computations of plans since the start: taken, no_better than the one before, failed.',
      { taken: status.taken, no_better: status.computed - status.taken, failed: status.failures },
      'result',
    ],
  ];
}

function kubeFamilies({ counts, ageMs, faults }: KubeSourceStatus): Family[] {
  const { lists, pages, watches, events, bookmarks, expired, failures, unusable } = counts;
  return [
    [
      'netloom_kube_requests_total',
      'Requests to the API server since the start.',
      { page: pages, watch: watches },
      'kind',
    ],
    [
      'netloom_kube_events_total',
      'What watches brought since the start.',
      { change: events, bookmark: bookmarks },
      'kind',
    ],
    ['netloom_kube_lists_total', 'Collections listed whole since the start.', lists],
    ['netloom_kube_expired_total', 'Times that the API server no longer knew our version (410 Gone).', expired],
    ['netloom_kube_failures_total', 'Requests that failed since the start.', failures],
    ['netloom_kube_unusable', 'Objects of the API server that could not be used.', unusable],
    ['netloom_kube_faults', 'Collections that cannot be listed or watched now.', faults.length],
    // A quiet watch brings a bookmark a minute: two minutes and more are a stale view.
    [
      'netloom_cluster_state_age_seconds',
      'Since the API server was last heard of, on the watch that was silent longest; -1: not listed yet.',
      ageMs === undefined ? -1 : ageMs / 1000,
    ],
  ];
}

function serverFamilies(server: ReportServerStats): Family[] {
  const { agents, reports, edges, ...problems } = server;
  return [
    ['netloom_report_streams', 'Open streams of agents.', agents],
    ['netloom_reports_total', 'Reports taken since the start.', reports],
    ['netloom_report_edges_total', 'Rows of reports taken since the start.', edges],
    ['netloom_report_problems_total', 'What went wrong with reports since the start.', { ...problems }, 'problem'],
  ];
}

function storeFamilies(store: StoreStatus): Family[] {
  return [
    ['netloom_store_saves_total', 'Saves since the start.', store.saves],
    ['netloom_store_failures_total', 'Saves that failed since the start.', store.failures],
    ['netloom_store_save_seconds', 'What the last save took.', store.lastSaveMs / 1000],
    ['netloom_store_ok', 'Whether the last save succeeded.', store.error === undefined ? 1 : 0],
  ];
}
