import { workloadKey } from '../cluster/model.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { Decision } from '../extender/decision.ts';
import type { NamedTarget } from '../graph/named-target.ts';
import { PlacementViewBuilder } from '../graph/placement-view-builder.ts';
import type { TrafficGraph } from '../graph/traffic-graph.ts';
import {
  explainScore,
  likelyCandidates,
  type PlacementSettings,
  type PlacementView,
  type PlanTarget,
  type PlanUse,
  type ScoreExplanation,
} from '../placement/index.ts';
import { PlacementViewReceiver } from '../placement/view-receiver.ts';
import type { Decisions } from './decisions.ts';
import { ApiError } from './listener.ts';
import { unaskedOf, type PodHistory } from './unasked.ts';
import type { ExplainReply } from './replies.ts';

/** Nodes explained beside those that are named, where the cluster has no more than this. */
const EXPLAIN_ALL_NODES = 32;
/** Nodes that are gone, of a plan's targets. */
const MOST_GONE = 8;
/** A view built for a question serves others for so long. */
const VIEW_MS = 1_000;

/** Explains with a view built for the question, on this thread: the extender's thread has better things to do. */
export class Explainer {
  readonly #graph: TrafficGraph;
  readonly #cluster: ClusterState;
  readonly #settings: PlacementSettings;
  readonly #decisions: Decisions;
  readonly #builder: () => PlacementViewBuilder;
  /** What became of pods that were bound; told by its owner. */
  history: PodHistory | undefined;
  /** The plan that views follow; told by its owner. */
  plan: () => NamedTarget | undefined = () => undefined;
  readonly #notes: (workload: string) => readonly string[];
  #view: { readonly key: string; readonly builtAtMs: number; readonly view: PlacementView } | undefined;

  /**
   * @param builder makes a fresh builder of views as the extender has them
   * @param notes what is odd about a workload's traffic, as sentences
   */
  constructor(
    graph: TrafficGraph,
    cluster: ClusterState,
    settings: PlacementSettings,
    decisions: Decisions,
    builder = () => new PlacementViewBuilder(graph, cluster),
    notes: (workload: string) => readonly string[] = () => [],
  ) {
    this.#notes = notes;
    this.#builder = builder;
    this.#graph = graph;
    this.#cluster = cluster;
    this.#settings = settings;
    this.#decisions = decisions;
  }

  /** @param target "namespace/pod" or "namespace/Kind/name" */
  explain(
    target: { readonly pod: string } | { readonly workload: string },
    nowMs: number,
  ): Omit<ExplainReply, 'warnings'> {
    return 'pod' in target ? this.#explainPod(target.pod, nowMs) : this.#explainWorkload(target.workload, nowMs);
  }

  /** What is known of a pod at its node, for a sentence about it. */
  atNode(workload: string, podUid: string, node: string, nowMs: number, soft = false): ScoreExplanation {
    const view = this.#viewNow(nowMs);
    const own = view.names.nodeIndex.get(node);
    const request = {
      workload: view.names.workloadIndex.get(workload),
      podUid,
      candidates: Int32Array.from(own === undefined ? [] : [own]),
      soft,
    };
    return explainScore(view, request, this.#settings, own === undefined ? [] : [own]);
  }

  #explainPod(name: string, nowMs: number): Omit<ExplainReply, 'warnings'> {
    const [namespace = '', podName = ''] = name.split('/');
    const pod = this.#cluster.podNamed(namespace, podName);
    const answers =
      (pod === undefined ? undefined : this.#decisions.ofUid(pod.uid, pod.node)) ??
      this.#decisions.ofName(namespace, podName);
    const workload = pod === undefined ? answers?.workload : workloadKey(this.#cluster.workloadOf(pod));
    if (workload === undefined) {
      throw new ApiError(404, `no pod ${name} is in the cluster state, and none was asked about lately`);
    }
    const node = pod?.node ?? answers?.node;
    const explanation = this.#explanation(workload, pod?.uid ?? answers?.uid ?? '', nowMs, node, pod?.soft === true);
    return {
      pod: { namespace, name: podName, node, gone: pod === undefined },
      workload,
      notes: this.#notes(workload),
      explanation: pod?.placementOff ? switchedOff(explanation) : explanation,
      asked: answers?.asked ?? 0,
      lastDecision: this.#decision(answers?.decision, workload),
      unasked:
        pod === undefined || answers !== undefined ? undefined : unaskedOf(pod, this.#cluster.nodes(), this.history),
    };
  }

  #explainWorkload(name: string, nowMs: number): Omit<ExplainReply, 'warnings'> {
    const [namespace = '', kind = '', workloadName = ''] = name.split('/');
    const workload = this.#cluster.findWorkload(namespace, kind, workloadName);
    if (workload === undefined) throw new ApiError(404, `no workload ${name} is in the cluster state`);
    return {
      pod: undefined,
      workload: workload.key,
      notes: this.#notes(workload.key),
      explanation: this.#explanation(workload.key, '', nowMs, undefined, [...workload.pods].at(-1)?.soft === true),
      asked: 0,
      lastDecision: undefined,
      unasked: undefined,
    };
  }

  #explanation(workload: string, podUid: string, nowMs: number, node: string | undefined, soft: boolean) {
    const view = this.#viewNow(nowMs);
    const live: number[] = [];
    for (let n = 0; n < view.nodeCount; n++) if (view.nodeLive[n] === 1) live.push(n);
    const own = node === undefined ? undefined : view.names.nodeIndex.get(node);
    const beside = live.length <= EXPLAIN_ALL_NODES ? live : own === undefined ? [] : [own];
    const index = view.names.workloadIndex.get(workload);
    const candidates = likelyCandidates(view, index, this.#settings);
    const explanation = explainScore(view, { workload: index, podUid, candidates, soft }, this.#settings, beside);
    return { ...explanation, plan: this.#withGone(explanation.plan, workload) };
  }

  /** A view has no index for a node that is gone since long: what the plan wanted there is told by its name. */
  #withGone(plan: PlanUse | undefined, workload: string): PlanUse | undefined {
    const target = this.plan();
    if (plan === undefined || target?.version !== plan.version) return plan;
    const own = target.workloads.indexOf(workload);
    const told = new Set(plan.targets.map(({ node }) => node));
    const gone: PlanTarget[] = [];
    for (let i = 0; i < target.count.length; i++) {
      const node = target.nodes[target.node[i]!]!;
      if (target.workload[i] !== own || told.has(node) || this.#cluster.node(node) !== undefined) continue;
      gone.push({ node, wanted: target.count[i]!, placed: 0, state: 'gone' });
    }
    return gone.length === 0 ? plan : { ...plan, targets: [...plan.targets, ...gone.slice(0, MOST_GONE)] };
  }

  #decision(decision: Decision | undefined, workload: string): Decision | undefined {
    const plan = this.#withGone(decision?.plan, workload);
    return decision === undefined || plan === undefined ? decision : { ...decision, plan };
  }

  #viewNow(nowMs: number): PlacementView {
    const key = `${String(this.#graph.version)} ${String(this.#cluster.version)}`;
    // Confidence falls with time alone.
    if (this.#view?.key !== key || nowMs - this.#view.builtAtMs >= VIEW_MS) {
      let built: PlacementView | undefined;
      const receiver = new PlacementViewReceiver(
        (view) => (built = view),
        (turn) => turn(),
      );
      receiver.receive(this.#builder().build(nowMs));
      this.#view = { key, builtAtMs: nowMs, view: built! };
    }
    return this.#view.view;
  }
}

/** The pod itself has no part in placement, though others of its workload may. */
function switchedOff(explanation: ScoreExplanation): ScoreExplanation {
  return { ...explanation, silence: 'switched-off', basis: undefined, peers: [], nodes: [] };
}
