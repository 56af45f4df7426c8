/**
 * The cluster in memory, with the indexes that graph, placement and API read. Fed with ClusterEvents; no IO, no clock.
 *
 *   state.apply(events)                          as a ClusterSink's apply()
 *   state.namespaces() .nodes() .pods() .services() .controllers() .workloads()
 *   state.node(name) .pod(uid) .podNamed(ns, name) .service(ns, name) .controller(ns, kind, name)
 *   state.workload(key)                          "namespace/Kind/name": wanted and placed replicas, kept incrementally
 *   state.workloadOf(pod)                        also for pods that are not (or no longer) listed
 *   state.workloadOfOwner(ns, owner, labels)     for kube-scheduler's pods, known or not
 *   state.ownerLinks()                           ReplicaSet, Job, ... -> workload, for PlacementView's ownerIndex
 *   state.findWorkload(ns, kind, name)           by any name people use: kind in any case, a ReplicaSet, a single pod
 *   state.selectedBy(service)                    workloads behind a Service
 *   state.structure .structures() .workloadsIn(ns) .servicesIn(ns)   for indexes that are kept beside it
 *   state.usedOn(node)                           what the pods on a node ask for
 *   state.version                                counts up with each apply()
 */
import { sameData } from '../../lib/json/same-data.ts';
import {
  workloadKey,
  type ClusterEvent,
  type ControllerRecord,
  type Egress,
  type NamespaceRecord,
  type NodeRecord,
  type OwnerRef,
  type PodRecord,
  type PodTemplate,
  type Resources,
  type ServiceRecord,
  type WorkloadRef,
} from './model.ts';
import { climb, workloadOfController, workloadOfPod, type FindController } from './owners.ts';
import { properKind } from './kinds.ts';
import { matchesSelector } from './selector.ts';

export interface Workload {
  readonly key: string;
  readonly ref: WorkloadRef;
  /** Wanted by its controller; undefined where that is not listed or says nothing. */
  readonly desired: number | undefined;
  /** Pods that are bound to a node and neither Succeeded nor Failed. */
  readonly placed: number;
  /** The same by node name; only nodes with at least one. */
  readonly placedByNode: ReadonlyMap<string, number>;
  /** Pods that are neither bound nor at their end. */
  readonly pending: number;
  /** What the pod of it that was shown last asks of a node; undefined: it never had one. */
  readonly requests: Resources | undefined;
  readonly egress: Egress | undefined;
  /** Of its controller, or of the pod that was shown last. */
  readonly template: PodTemplate | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** All its pods, of any phase. */
  readonly pods: ReadonlySet<PodRecord>;
}

const NO_LABELS: Readonly<Record<string, string>> = {};

class WorkloadEntry implements Workload {
  readonly key: string;
  readonly ref: WorkloadRef;
  desired: number | undefined = undefined;
  /** The controller of this very name is listed. */
  listed = false;
  placed = 0;
  readonly placedByNode = new Map<string, number>();
  pending = 0;
  requests: Resources | undefined = undefined;
  egress: Egress | undefined = undefined;
  template: PodTemplate | undefined = undefined;
  labels: Readonly<Record<string, string>> = NO_LABELS;
  readonly pods = new Set<PodRecord>();
  constructor(key: string, ref: WorkloadRef) {
    this.key = key;
    this.ref = ref;
  }
}

interface PodEntry {
  record: PodRecord;
  workload: WorkloadEntry;
}

interface OwnerEntry {
  readonly ref: WorkloadRef;
  /** Pods whose immediate owner this is. */
  readonly pods: Set<PodEntry>;
  /** Keys of listed controllers that this one owns. */
  readonly children: Set<string>;
}

/** Whether a pod takes part in traffic and placement: bound, and not at its end. */
export function isPlaced(pod: PodRecord): boolean {
  return pod.node !== undefined && !isOver(pod);
}

function isOver(pod: PodRecord): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}

/** Sum of what the pods on a node ask for. */
interface Usage {
  milliCpu: number;
  memoryBytes: number;
  pods: number;
}

const NO_USAGE: Resources = { milliCpu: 0, memoryBytes: 0, pods: 0 };

export class ClusterState {
  private changes = 0;
  private readonly nodesByName = new Map<string, NodeRecord>();
  /** Only those that say something. */
  private readonly namespacesSaying = new Map<string, NamespaceRecord>();
  private readonly podsByUid = new Map<string, PodEntry>();
  private readonly podsByName = new Map<string, PodEntry>();
  private readonly servicesByName = new Map<string, ServiceRecord>();
  private readonly servicesByNamespace = new Map<string, Map<string, ServiceRecord>>();
  private readonly structureByNamespace = new Map<string, number>();
  private structureChanges = 0;
  private readonly controllersByKey = new Map<string, ControllerRecord>();
  private readonly owners = new Map<string, OwnerEntry>();
  private readonly workloadsByKey = new Map<string, WorkloadEntry>();
  private readonly usageByNode = new Map<string, Usage>();
  private readonly find: FindController = (namespace, kind, name) =>
    this.controllersByKey.get(`${namespace}/${kind}/${name}`);

  get version(): number {
    return this.changes;
  }
  get nodeCount(): number {
    return this.nodesByName.size;
  }
  get podCount(): number {
    return this.podsByUid.size;
  }
  get workloadCount(): number {
    return this.workloadsByKey.size;
  }

  /** Of which something is to be known: those that switch placement off or name a tenant. */
  namespaces(): Iterable<NamespaceRecord> {
    return this.namespacesSaying.values();
  }
  nodes(): Iterable<NodeRecord> {
    return this.nodesByName.values();
  }
  *pods(): Iterable<PodRecord> {
    for (const entry of this.podsByUid.values()) yield entry.record;
  }
  services(): Iterable<ServiceRecord> {
    return this.servicesByName.values();
  }
  controllers(): Iterable<ControllerRecord> {
    return this.controllersByKey.values();
  }
  workloads(): Iterable<Workload> {
    return this.workloadsByKey.values();
  }

  node(name: string): NodeRecord | undefined {
    return this.nodesByName.get(name);
  }
  pod(uid: string): PodRecord | undefined {
    return this.podsByUid.get(uid)?.record;
  }
  podNamed(namespace: string, name: string): PodRecord | undefined {
    return this.podsByName.get(`${namespace}/${name}`)?.record;
  }
  service(namespace: string, name: string): ServiceRecord | undefined {
    return this.servicesByName.get(`${namespace}/${name}`);
  }
  controller(namespace: string, kind: string, name: string): ControllerRecord | undefined {
    return this.find(namespace, kind, name);
  }
  workload(key: string): Workload | undefined {
    return this.workloadsByKey.get(key);
  }

  /**
   * Counts up when Services, or workloads, or what these tell of themselves (template, labels) change; not with each pod of a
   * workload that is known.
   */
  get structure(): number {
    return this.structureChanges;
  }

  /** The same by namespace, of those where anything is. */
  structures(): Iterable<readonly [namespace: string, structure: number]> {
    return this.structureByNamespace;
  }

  *workloadsIn(namespace: string): Iterable<Workload> {
    for (const key of this.keysByNamespace.get(namespace) ?? []) yield this.workloadsByKey.get(key)!;
  }

  servicesIn(namespace: string): Iterable<ServiceRecord> {
    return this.servicesByNamespace.get(namespace)?.values() ?? [];
  }

  /** What the pods on a node ask for, all together: those that are bound to it and not at their end. */
  usedOn(node: string): Resources {
    return this.usageByNode.get(node) ?? NO_USAGE;
  }

  /** The namespace says `netloom.io/placement: "off"`. */
  placementOff(namespace: string): boolean {
    return this.namespacesSaying.get(namespace)?.placementOff === true;
  }

  /** Label netloom.io/tenant of the namespace. */
  tenantOf(namespace: string): string | undefined {
    return this.namespacesSaying.get(namespace)?.tenant;
  }

  workloadOf(pod: PodRecord): WorkloadRef {
    const entry = this.podsByUid.get(pod.uid);
    return entry?.record === pod ? entry.workload.ref : workloadOfPod(pod, this.find);
  }

  /** @param labels those of the owned pod: evidence where the owner itself is not listed. */
  workloadOfOwner(namespace: string, owner: OwnerRef, labels: Readonly<Record<string, string>>): WorkloadRef {
    return climb(namespace, owner, labels, this.find);
  }

  /** Owners that are not workloads themselves (ReplicaSet, Job, ...), with the workload they belong to. */
  *ownerLinks(): Iterable<{ readonly ownerKey: string; readonly workloadKey: string }> {
    const done = new Set<string>();
    for (const [ownerKey, owner] of this.owners) {
      const [first] = owner.pods;
      if (first === undefined || first.workload.key === ownerKey || owner.ref.kind === 'Node') continue;
      done.add(ownerKey);
      yield { ownerKey, workloadKey: first.workload.key };
    }
    for (const [ownerKey, controller] of this.controllersByKey) {
      if (controller.owner === undefined || done.has(ownerKey)) continue;
      const key = workloadKey(workloadOfController(controller, this.find));
      if (key !== ownerKey) yield { ownerKey, workloadKey: key };
    }
  }

  /** A workload as people name it; `kind` in its proper spelling, in another case or by its short name. undefined: unknown. */
  findWorkload(namespace: string, kind: string, name: string): Workload | undefined {
    const key = `${namespace}/${kind}/${name}`;
    const direct = this.workloadsByKey.get(key);
    if (direct !== undefined) return direct;
    const controller = this.controllersByKey.get(key);
    if (controller !== undefined)
      return this.workloadsByKey.get(workloadKey(workloadOfController(controller, this.find)));
    const [owned] = this.owners.get(key)?.pods ?? [];
    if (owned !== undefined) return owned.workload;
    if (kind === 'Pod') return this.podsByName.get(`${namespace}/${name}`)?.workload;
    const spelling = this.spellingOf(kind);
    return spelling === undefined || spelling === kind ? undefined : this.findWorkload(namespace, spelling, name);
  }

  /** Workloads of which at least one pod has the labels that the Service selects. */
  selectedBy(service: ServiceRecord): Workload[] {
    const { selector, namespace } = service;
    if (selector === undefined) return [];
    const found: Workload[] = [];
    for (const key of this.keysByNamespace.get(namespace) ?? []) {
      const workload = this.workloadsByKey.get(key)!;
      for (const pod of workload.pods) {
        if (!matchesSelector(selector, pod.labels)) continue;
        found.push(workload);
        break;
      }
    }
    return found;
  }

  apply(events: readonly ClusterEvent[]): void {
    for (const { op, record } of events) {
      switch (record.type) {
        case 'namespace':
          if (op === 'upsert' && (record.placementOff || record.tenant !== undefined)) {
            this.namespacesSaying.set(record.name, record);
          } else this.namespacesSaying.delete(record.name);
          break;
        case 'node':
          if (op === 'upsert') this.nodesByName.set(record.name, record);
          else this.nodesByName.delete(record.name);
          break;
        case 'service': {
          const key = `${record.namespace}/${record.name}`;
          if (op === 'upsert') this.servicesByName.set(key, record);
          else this.servicesByName.delete(key);
          this.placeService(record, op === 'upsert');
          break;
        }
        case 'controller':
          if (op === 'upsert') this.upsertController(record);
          else this.deleteController(record);
          break;
        case 'pod':
          if (op === 'upsert') this.upsertPod(record);
          else this.deletePod(record);
      }
    }
    this.changes++;
  }

  private readonly keysByNamespace = new Map<string, Set<string>>();
  /** Spelling of the kinds met so far by their lower case; kinds are few and never removed. */
  private readonly kinds = new Map<string, string>();

  private spellingOf(kind: string): string | undefined {
    return this.kinds.get(properKind(kind).toLowerCase());
  }

  private workloadEntry(ref: WorkloadRef): WorkloadEntry {
    const key = workloadKey(ref);
    const known = this.workloadsByKey.get(key);
    if (known !== undefined) return known;
    const entry = new WorkloadEntry(key, ref);
    const controller = this.controllersByKey.get(key);
    entry.listed = controller !== undefined;
    entry.desired = controller?.replicas;
    entry.template = controller?.template;
    entry.labels = controller?.labels ?? NO_LABELS;
    this.restructured(ref.namespace);
    this.workloadsByKey.set(key, entry);
    let keys = this.keysByNamespace.get(ref.namespace);
    if (keys === undefined) this.keysByNamespace.set(ref.namespace, (keys = new Set()));
    keys.add(key);
    if (this.kinds.size < 10_000) this.kinds.set(ref.kind.toLowerCase(), ref.kind);
    return entry;
  }

  private dropIfGone(entry: WorkloadEntry): void {
    if (entry.pods.size > 0 || entry.listed) return;
    this.workloadsByKey.delete(entry.key);
    this.restructured(entry.ref.namespace);
    const keys = this.keysByNamespace.get(entry.ref.namespace);
    keys?.delete(entry.key);
    if (keys?.size === 0) this.keysByNamespace.delete(entry.ref.namespace);
  }

  private ownerEntry(ref: WorkloadRef): OwnerEntry {
    const key = workloadKey(ref);
    let entry = this.owners.get(key);
    if (entry === undefined) this.owners.set(key, (entry = { ref, pods: new Set(), children: new Set() }));
    return entry;
  }

  private dropOwnerIfUnused(key: string): void {
    const entry = this.owners.get(key);
    if (entry !== undefined && entry.pods.size === 0 && entry.children.size === 0) this.owners.delete(key);
  }

  private count(entry: PodEntry, sign: 1 | -1): void {
    const { record, workload } = entry;
    if (sign === 1) {
      workload.pods.add(record);
      workload.requests = record.requests;
      workload.egress = record.egress;
      // What the controller says is what its next pods will be.
      if (this.controllersByKey.get(workload.key)?.template === undefined) {
        this.describe(workload, record.template, stableLabels(record.labels));
      }
    } else workload.pods.delete(record);
    if (!isPlaced(record)) {
      if (record.node === undefined && !isOver(record)) workload.pending += sign;
      return;
    }
    const node = record.node!;
    this.use(node, record.requests, sign);
    const placed = (workload.placedByNode.get(node) ?? 0) + sign;
    if (placed === 0) workload.placedByNode.delete(node);
    else workload.placedByNode.set(node, placed);
    workload.placed += sign;
  }

  private restructured(namespace: string): void {
    this.structureByNamespace.set(namespace, ++this.structureChanges);
  }

  private placeService(record: ServiceRecord, present: boolean): void {
    const { namespace, name } = record;
    let services = this.servicesByNamespace.get(namespace);
    if (services === undefined) this.servicesByNamespace.set(namespace, (services = new Map<string, ServiceRecord>()));
    if (present) services.set(name, record);
    else services.delete(name);
    if (services.size === 0) this.servicesByNamespace.delete(namespace);
    this.restructured(namespace);
  }

  private describe(
    entry: WorkloadEntry,
    template: PodTemplate | undefined,
    labels: Readonly<Record<string, string>>,
  ): void {
    if (entry.template === template && sameData(entry.labels, labels)) return;
    entry.template = template;
    entry.labels = labels;
    this.restructured(entry.ref.namespace);
  }

  private use(node: string, { milliCpu, memoryBytes }: Resources, sign: 1 | -1): void {
    let usage = this.usageByNode.get(node);
    if (usage === undefined) this.usageByNode.set(node, (usage = { milliCpu: 0, memoryBytes: 0, pods: 0 }));
    usage.milliCpu += sign * milliCpu;
    usage.memoryBytes += sign * memoryBytes;
    usage.pods += sign;
    if (usage.pods === 0) this.usageByNode.delete(node);
  }

  private upsertPod(record: PodRecord): void {
    const old = this.podsByUid.get(record.uid);
    if (old !== undefined) this.removePod(old);
    const nameKey = `${record.namespace}/${record.name}`;
    // A pod of the same name and another uid was replaced while nobody looked (StatefulSets keep names).
    const replaced = this.podsByName.get(nameKey);
    if (replaced !== undefined) this.removePod(replaced);
    const entry: PodEntry = { record, workload: this.workloadEntry(workloadOfPod(record, this.find)) };
    this.podsByUid.set(record.uid, entry);
    this.podsByName.set(nameKey, entry);
    const owner = ownerOfPod(record);
    if (owner !== undefined) this.ownerEntry(owner).pods.add(entry);
    this.count(entry, 1);
    if (old !== undefined && old.workload !== entry.workload) this.dropIfGone(old.workload);
    if (replaced !== undefined && replaced.workload !== entry.workload) this.dropIfGone(replaced.workload);
  }

  private deletePod(record: PodRecord): void {
    const entry = this.podsByUid.get(record.uid);
    if (entry === undefined) return;
    this.removePod(entry);
    this.dropIfGone(entry.workload);
  }

  private removePod(entry: PodEntry): void {
    const { record } = entry;
    this.podsByUid.delete(record.uid);
    this.podsByName.delete(`${record.namespace}/${record.name}`);
    const owner = ownerOfPod(record);
    if (owner !== undefined) {
      const key = workloadKey(owner);
      this.owners.get(key)?.pods.delete(entry);
      this.dropOwnerIfUnused(key);
    }
    this.count(entry, -1);
  }

  private upsertController(record: ControllerRecord): void {
    const key = workloadKey(record);
    const old = this.controllersByKey.get(key);
    this.controllersByKey.set(key, record);
    if (old?.owner !== undefined && !sameOwner(old.owner, record.owner)) this.unlinkChild(old, key);
    if (record.owner !== undefined) {
      const { kind, name } = record.owner;
      this.ownerEntry({ namespace: record.namespace, kind, name }).children.add(key);
    }
    if (this.kinds.size < 10_000) this.kinds.set(record.kind.toLowerCase(), record.kind);
    if (old === undefined || !sameOwner(old.owner, record.owner)) this.resolveBelow(key);
    this.refreshListed(key, record);
  }

  private deleteController(record: ControllerRecord): void {
    const key = workloadKey(record);
    const old = this.controllersByKey.get(key);
    if (old === undefined) return;
    this.controllersByKey.delete(key);
    this.unlinkChild(old, key);
    this.resolveBelow(key);
    const entry = this.workloadsByKey.get(key);
    if (entry !== undefined) {
      entry.listed = false;
      entry.desired = undefined;
      this.dropIfGone(entry);
    }
  }

  /** A listed controller that is a workload itself exists as one even without pods: its pods may come any moment. */
  private refreshListed(key: string, record: ControllerRecord): void {
    const isWorkload = workloadKey(workloadOfController(record, this.find)) === key;
    const { namespace, kind, name } = record;
    const entry = isWorkload ? this.workloadEntry({ namespace, kind, name }) : this.workloadsByKey.get(key);
    if (entry === undefined) return;
    entry.listed = isWorkload;
    entry.desired = isWorkload ? record.replicas : undefined;
    if (isWorkload && record.template !== undefined) this.describe(entry, record.template, record.labels ?? NO_LABELS);
    this.dropIfGone(entry);
  }

  private unlinkChild(controller: ControllerRecord, key: string): void {
    if (controller.owner === undefined) return;
    const { kind, name } = controller.owner;
    const ownerKey = `${controller.namespace}/${kind}/${name}`;
    this.owners.get(ownerKey)?.children.delete(key);
    this.dropOwnerIfUnused(ownerKey);
  }

  /** Resolves again all pods and controllers below a controller whose place in the chain of owners changed. */
  private resolveBelow(start: string): void {
    const seen = new Set([start]);
    for (const key of seen) {
      const owner = this.owners.get(key);
      if (owner === undefined) continue;
      for (const pod of owner.pods) this.resolveAgain(pod);
      for (const child of owner.children) {
        seen.add(child);
        const record = this.controllersByKey.get(child);
        if (record !== undefined) this.refreshListed(child, record);
      }
    }
  }

  private resolveAgain(entry: PodEntry): void {
    const ref = workloadOfPod(entry.record, this.find);
    const old = entry.workload;
    if (workloadKey(ref) === old.key) return;
    this.count(entry, -1);
    entry.workload = this.workloadEntry(ref);
    this.count(entry, 1);
    this.dropIfGone(old);
  }
}

/** Labels that differ from pod to pod, or from roll-out to roll-out. */
const CHANGING_LABELS = [
  'pod-template-hash',
  'controller-revision-hash',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'job-name',
  'batch.kubernetes.io/job-name',
  'controller-uid',
  'batch.kubernetes.io/controller-uid',
] as const;

const stable = new WeakMap<Readonly<Record<string, string>>, Readonly<Record<string, string>>>();

/** Labels without those; of one object always the same. */
function stableLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!CHANGING_LABELS.some((label) => Object.hasOwn(labels, label))) return labels;
  let known = stable.get(labels);
  if (known === undefined) {
    const changing: ReadonlySet<string> = new Set(CHANGING_LABELS);
    known = Object.fromEntries(Object.entries(labels).filter(([label]) => !changing.has(label)));
    stable.set(labels, known);
  }
  return known;
}

function ownerOfPod(pod: PodRecord): WorkloadRef | undefined {
  return pod.owner === undefined ? undefined : { namespace: pod.namespace, kind: pod.owner.kind, name: pod.owner.name };
}

function sameOwner(a: OwnerRef | undefined, b: OwnerRef | undefined): boolean {
  return a?.kind === b?.kind && a?.name === b?.name;
}
