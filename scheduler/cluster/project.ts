/**
 * Kubernetes objects, as `kubectl get -o json` and the API server give them, to the records Netloom keeps. Pure; never throws.
 */
import { formatAddress, parseAddress, parseCidr } from '../../lib/ip.ts';
import { asArray, asCount, asLabels, asObject, asText, excerpt, type JsonObject } from '../../lib/json/json-access.ts';
import { sameData } from '../../lib/json/same-data.ts';
import type {
  ClusterRecord,
  ControllerRecord,
  NamespaceRecord,
  NodeRecord,
  OwnerRef,
  PodPhase,
  PodRecord,
  PodTemplate,
  Resources,
  ServiceRecord,
} from './model.ts';
import { MOST_MBPS, podEgress } from './egress.ts';
import { Interner } from './interner.ts';
import { nodeChoice, nodeTaints } from './node-choice.ts';
import { isPlacementOff, oddPlacement } from './placement-off.ts';
import { podTemplate } from './pod-template.ts';
import { minorOf } from './service-routing.ts';
import { hasSoftPreferences } from './soft-preferences.ts';
import { nodeAllocatable, podRequests, podScoredRequests, scoredRequests } from './requests.ts';

/** Of the core API group, and no controllers. */
const CLUSTER_KINDS: ReadonlySet<string> = new Set(['Namespace', 'Node', 'Pod', 'Service']);

/** What became of one object. */
export type Projection =
  /** `odd`: a field that could not be used and was left out, e.g. an address that is none. */
  | { readonly outcome: 'record'; readonly record: ClusterRecord; readonly odd: string | undefined }
  /** Of a kind that Netloom does not use. */
  | { readonly outcome: 'ignored'; readonly kind: string }
  | { readonly outcome: 'unusable'; readonly reason: string; readonly sample: string };

const CONTROLLER_KINDS: ReadonlySet<string> = new Set([
  'Deployment',
  'ReplicaSet',
  'StatefulSet',
  'DaemonSet',
  'Job',
  'CronJob',
  'ReplicationController',
]);

/**
 * Kinds that own no pods although they may have owner references (or replicas) themselves. Without this list an EndpointSlice
 * (owned by its Service) would be taken for a controller.
 */
const NEVER_CONTROLLERS: ReadonlySet<string> = new Set([
  'CertificateSigningRequest',
  'ConfigMap',
  'ControllerRevision',
  'CSINode',
  'EndpointSlice',
  'Endpoints',
  'Event',
  'HorizontalPodAutoscaler',
  'Ingress',
  'Lease',
  'LimitRange',
  'Namespace',
  'NetworkPolicy',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'PodDisruptionBudget',
  'PodMetrics',
  'PodTemplate',
  'ResourceClaim',
  'ResourceQuota',
  'Role',
  'RoleBinding',
  'Secret',
  'ServiceAccount',
  'ValidatingWebhookConfiguration',
  'VolumeAttachment',
]);

/** Label of a namespace: pods of different tenants are never drawn together. */
export const TENANT = 'netloom.io/tenant';

/** On a node: speed of its link in either direction, Mbit/s. */
const LINK_MBPS = 'netloom.io/link-mbps';

const PHASES: ReadonlySet<string> = new Set(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']);

/** Collects the fields of one object that could not be used. */
class Oddities {
  first: string | undefined;
  note(text: string): void {
    this.first ??= text.slice(0, 200);
  }
}

/** Fields of a spec that decide where a pod may stand. */
const POD_FIELDS = {
  containers: 'a list',
  initContainers: 'a list',
  tolerations: 'a list',
  topologySpreadConstraints: 'a list',
  nodeSelector: 'an object',
  affinity: 'an object',
} as const;
const NODE_FIELDS = { taints: 'a list' } as const;

/** An API server refuses others; a file may have been edited by hand. */
function noteKinds(
  spec: JsonObject | undefined,
  fields: Readonly<Record<string, 'a list' | 'an object'>>,
  odd: Oddities,
): void {
  if (spec === undefined) return;
  for (const field in fields) {
    const value = spec[field];
    if (value === undefined || value === null) continue;
    const isExpected = fields[field] === 'a list' ? Array.isArray(value) : asObject(value) !== undefined;
    if (!isExpected) odd.note(`spec.${field} is ${excerpt(value)}, expected ${fields[field]!}`);
  }
}

/** What identifies an object in a message: "Pod shop/cart-1". */
function nameForPeople(kind: string, metadata: JsonObject | undefined, object: JsonObject): string {
  const name = asText(metadata?.['name']) ?? asText(metadata?.['generateName']);
  const namespace = asText(metadata?.['namespace']);
  if (name === undefined) return `${kind} with ${excerpt(object)}`;
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

function addAddress(into: string[], value: unknown, field: string, odd: Oddities): void {
  if (value === undefined || value === null || value === '' || value === 'None') return;
  const bytes = typeof value === 'string' ? parseAddress(value) : undefined;
  if (bytes === undefined) {
    odd.note(`${field} ${excerpt(value)} is no IP address`);
    return;
  }
  const text = formatAddress(bytes);
  if (!into.includes(text)) into.push(text);
}

/**
 * The reference with `controller: true`; a single one without the flag counts as well, for some operators
 * (Spark's executors) leave it out. Kinds that never own pods do not count then.
 */
function controllingOwner(metadata: JsonObject | undefined): OwnerRef | undefined {
  const references = asArray(metadata?.['ownerReferences']).map(asObject);
  const flagged = references.find((reference) => reference?.['controller'] === true);
  const chosen = flagged ?? (references.length === 1 ? references[0] : undefined);
  const kind = asText(chosen?.['kind']);
  const name = asText(chosen?.['name']);
  if (kind === undefined || name === undefined) return undefined;
  if (flagged === undefined && NEVER_CONTROLLERS.has(kind)) return undefined;
  return { kind, name, uid: asText(chosen?.['uid']) ?? '' };
}

function placementOff(metadata: JsonObject, odd: Oddities): boolean {
  const text = oddPlacement(metadata);
  if (text !== undefined) odd.note(text);
  return isPlacementOff(metadata);
}

function projectNamespace(metadata: JsonObject, name: string, odd: Oddities): NamespaceRecord {
  const uid = asText(metadata['uid']) ?? `Namespace/${name}`;
  const tenant = asText(asObject(metadata['labels'])?.[TENANT]);
  const record = { type: 'namespace', name, uid, placementOff: placementOff(metadata, odd) } as const;
  return tenant === undefined ? record : { ...record, tenant };
}

function projectNode(object: JsonObject, metadata: JsonObject, name: string, odd: Oddities): NodeRecord {
  const spec = asObject(object['spec']);
  const status = asObject(object['status']);
  noteKinds(spec, NODE_FIELDS, odd);
  const labels = asLabels(metadata['labels']);
  const taints = nodeTaints(spec);
  const addresses: string[] = [];
  for (const entry of asArray(status?.['addresses'])) {
    const address = asObject(entry);
    const type = address?.['type'];
    if (type === 'InternalIP' || type === 'ExternalIP') {
      addAddress(addresses, address?.['address'], 'status.addresses', odd);
    }
  }
  const podCidrs: string[] = [];
  for (const value of [...asArray(spec?.['podCIDRs']), spec?.['podCIDR']]) {
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string' || parseCidr(value) === undefined) {
      odd.note(`spec.podCIDR ${excerpt(value)} is no CIDR`);
    } else if (!podCidrs.includes(value)) {
      podCidrs.push(value);
    }
  }
  const minor = minorOf(asText(asObject(status?.['nodeInfo'])?.['kubeletVersion']) ?? '');
  return {
    type: 'node',
    name,
    uid: asText(metadata['uid']) ?? `Node/${name}`,
    addresses,
    podCidrs,
    zone: asText(labels['topology.kubernetes.io/zone']) ?? asText(labels['failure-domain.beta.kubernetes.io/zone']),
    region:
      asText(labels['topology.kubernetes.io/region']) ?? asText(labels['failure-domain.beta.kubernetes.io/region']),
    allocatable: nodeAllocatable(status, (problem) => odd.note(problem)),
    ...linkMbpsOf(metadata, odd),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(taints.length === 0 ? {} : { taints }),
    ...(minor === undefined ? {} : { minor }),
  };
}

function linkMbpsOf(metadata: JsonObject, odd: Oddities): { readonly linkMbps?: number } {
  const text = asText(asObject(metadata['annotations'])?.[LINK_MBPS]);
  if (text === undefined) return {};
  const mbps = Number(text);
  if (mbps > 0 && mbps <= MOST_MBPS) return { linkMbps: mbps };
  odd.note(`${LINK_MBPS} is ${excerpt(text)}, expected a number of Mbit/s above 0, up to ${MOST_MBPS}`);
  return {};
}

function projectPod(
  object: JsonObject,
  metadata: JsonObject,
  namespace: string,
  name: string,
  odd: Oddities,
  interner: Interner,
): PodRecord {
  const spec = asObject(object['spec']);
  const status = asObject(object['status']);
  noteKinds(spec, POD_FIELDS, odd);
  const addresses: string[] = [];
  addAddress(addresses, status?.['podIP'], 'status.podIP', odd);
  for (const entry of asArray(status?.['podIPs'])) {
    addAddress(addresses, asObject(entry)?.['ip'], 'status.podIPs', odd);
  }
  const node = asText(spec?.['nodeName']);
  const owner = controllingOwner(metadata);
  const requests = podRequests(spec, (problem) => odd.note(problem));
  const scored = podScoredRequests(spec);
  // A DaemonSet's pods name their node in their affinity: there is one choice for each of them, and none to make.
  const choice = owner?.kind === 'DaemonSet' ? undefined : nodeChoice(spec);
  const hostIp = parseAddress(asText(status?.['hostIP']) ?? '');
  const phase = asText(status?.['phase']);
  if (phase !== undefined && !PHASES.has(phase)) odd.note(`status.phase ${excerpt(phase)} is not known`);
  const annotations = asObject(metadata['annotations']);
  const egress = podEgress(spec, annotations, (problem) => odd.note(problem));
  const labels = asLabels(metadata['labels']);
  const template = templateOf(spec, annotations, owner, labels, interner);
  return {
    type: 'pod',
    uid: asText(metadata['uid']) ?? `Pod/${namespace}/${name}`,
    namespace: interner.text(namespace),
    name,
    node: node === undefined ? undefined : interner.text(node),
    // push() takes room for 17: a copy has what it needs.
    addresses: addresses.slice(),
    // Trimmed exports may lack spec.hostNetwork; a pod that has its host's address is on the host's network.
    hostNetwork: spec?.['hostNetwork'] === true || (hostIp !== undefined && addresses[0] === formatAddress(hostIp)),
    phase: phase !== undefined && PHASES.has(phase) ? (phase as PodPhase) : phase === undefined ? 'Pending' : 'Unknown',
    owner: owner === undefined ? undefined : interner.value(`owner/${owner.kind}/${owner.name}/${owner.uid}`, owner),
    labels: interner.labels(labels),
    requests: shared(requests, interner),
    ...(sameData(scored, scoredRequests({ requests })) ? {} : { scored: shared(scored, interner) }),
    ...(choice === undefined ? {} : { nodeChoice: interner.value(`choice/${JSON.stringify(choice)}`, choice) }),
    mirror: annotations?.['kubernetes.io/config.mirror'] !== undefined,
    ...(placementOff(metadata, odd) ? { placementOff: true as const } : {}),
    ...schedulerOf(spec, interner),
    ...(hasSoftPreferences(spec) ? { soft: true as const } : {}),
    ...(egress === undefined ? {} : { egress: interned(interner, 'egress', egress) }),
    ...(template === undefined ? {} : { template }),
  };
}

function schedulerOf(spec: JsonObject | undefined, interner: Interner): { readonly scheduler?: string } {
  const name = asText(spec?.['schedulerName']);
  return name === undefined || name === 'default-scheduler' ? {} : { scheduler: interner.text(name) };
}

/** Pods of one owner and one revision come from one template: it is read once. */
function templateOf(
  spec: JsonObject | undefined,
  annotations: JsonObject | undefined,
  owner: OwnerRef | undefined,
  labels: Readonly<Record<string, string>>,
  interner: Interner,
): PodTemplate | undefined {
  const read = (): PodTemplate | undefined => {
    const template = podTemplate(spec, annotations);
    return template === undefined ? undefined : interned(interner, 'template', template);
  };
  const revision = labels['pod-template-hash'] ?? labels['controller-revision-hash'];
  const known = owner !== undefined && owner.uid !== '' && revision !== undefined;
  return known ? interner.made(`template of/${owner.uid}/${revision}`, read) : read();
}

function interned<T extends object>(interner: Interner, kind: string, value: T): T {
  return interner.value(`${kind}/${JSON.stringify(value)}`, value);
}

function shared(requests: Resources, interner: Interner): Resources {
  return interner.value(`requests/${requests.milliCpu}/${requests.memoryBytes}/${requests.pods}`, requests);
}

function projectService(
  object: JsonObject,
  metadata: JsonObject,
  namespace: string,
  name: string,
  odd: Oddities,
): ServiceRecord {
  const spec = asObject(object['spec']);
  const addresses: string[] = [];
  addAddress(addresses, spec?.['clusterIP'], 'spec.clusterIP', odd);
  for (const value of asArray(spec?.['clusterIPs'])) addAddress(addresses, value, 'spec.clusterIPs', odd);
  for (const value of asArray(spec?.['externalIPs'])) addAddress(addresses, value, 'spec.externalIPs', odd);
  addAddress(addresses, spec?.['loadBalancerIP'], 'spec.loadBalancerIP', odd);
  const balancer = asObject(asObject(object['status'])?.['loadBalancer']);
  for (const entry of asArray(balancer?.['ingress'])) {
    addAddress(addresses, asObject(entry)?.['ip'], 'status.loadBalancer.ingress', odd);
  }
  const selector = asLabels(spec?.['selector']);
  const trafficDistribution = asText(spec?.['trafficDistribution'])?.slice(0, 63);
  return {
    type: 'service',
    namespace,
    name,
    uid: asText(metadata['uid']) ?? `Service/${namespace}/${name}`,
    addresses,
    // An ExternalName Service selects nothing, whatever its selector says.
    selector: Object.keys(selector).length === 0 || spec?.['type'] === 'ExternalName' ? undefined : selector,
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
    ...(spec?.['internalTrafficPolicy'] === 'Local' ? { internalLocal: true as const } : {}),
  };
}

/** Wanted replicas. Deployment, ReplicaSet and StatefulSet default to 1, as the API server does. */
function replicasOf(kind: string, object: JsonObject, odd: Oddities): number | undefined {
  const spec = asObject(object['spec']);
  const stated = spec?.['replicas'];
  if (stated !== undefined && asCount(stated) === undefined) {
    odd.note(`spec.replicas is ${excerpt(stated)}, expected a whole number of 0 or more`);
  }
  switch (kind) {
    case 'Deployment':
    case 'ReplicaSet':
    case 'StatefulSet':
    case 'ReplicationController':
      return asCount(spec?.['replicas']) ?? 1;
    case 'DaemonSet':
      return asCount(asObject(object['status'])?.['desiredNumberScheduled']);
    case 'Job': {
      if (spec?.['suspend'] === true) return 0;
      const parallelism = asCount(spec?.['parallelism']) ?? 1;
      return Math.min(parallelism, asCount(spec?.['completions']) ?? parallelism);
    }
    case 'CronJob':
      return undefined;
    default:
      return asCount(spec?.['replicas']);
  }
}

/** Of controllers at the top only: ReplicaSets and Jobs below repeat them. */
function controllerTemplate(
  kind: string,
  object: JsonObject,
  owner: OwnerRef | undefined,
  interner: Interner,
): Pick<ControllerRecord, 'template' | 'labels'> {
  if (owner !== undefined) return {};
  const spec = asObject(object['spec']);
  const jobSpec = kind === 'CronJob' ? asObject(asObject(spec?.['jobTemplate'])?.['spec']) : spec;
  const pod = asObject(jobSpec?.['template']);
  const metadata = asObject(pod?.['metadata']);
  const template = podTemplate(asObject(pod?.['spec']), asObject(metadata?.['annotations']));
  if (template === undefined) return {};
  return {
    template: interned(interner, 'template', template),
    labels: interner.labels(asLabels(metadata?.['labels'])),
  };
}

/** A kind that is not built in counts as a controller if it is owned, or makes pods: a template, or replicas with a selector. */
function looksLikeController(kind: string, object: JsonObject, owner: OwnerRef | undefined): boolean {
  if (CONTROLLER_KINDS.has(kind)) return true;
  if (NEVER_CONTROLLERS.has(kind)) return false;
  const spec = asObject(object['spec']);
  return (
    owner !== undefined ||
    asObject(asObject(spec?.['template'])?.['spec']) !== undefined ||
    (asCount(spec?.['replicas']) !== undefined && spec?.['selector'] !== undefined)
  );
}

/**
 * @param impliedKind the kind of objects that do not say theirs: items of a `PodList` as the API server returns it.
 * @param interner of whoever keeps many records, so that these share what is equal
 */
export function projectObject(value: unknown, impliedKind?: string, interner = new Interner()): Projection {
  const object = asObject(value);
  if (object === undefined) {
    return { outcome: 'unusable', reason: 'not an object', sample: excerpt(value) };
  }
  const kind = asText(object['kind']) ?? impliedKind;
  const metadata = asObject(object['metadata']);
  if (kind === undefined) {
    return { outcome: 'unusable', reason: 'no kind', sample: nameForPeople('object', metadata, object) };
  }
  const clusterObject = CLUSTER_KINDS.has(kind);
  // Other API groups reuse these names (serving.knative.dev Service, metrics.k8s.io Node and Pod).
  const core = !asText(object['apiVersion'])?.includes('/');
  if (clusterObject && !core) return { outcome: 'ignored', kind };
  const owner = controllingOwner(metadata);
  if (!clusterObject && !looksLikeController(kind, object, owner)) return { outcome: 'ignored', kind };
  const name = asText(metadata?.['name']);
  if (metadata === undefined || name === undefined) {
    return {
      outcome: 'unusable',
      reason: `${kind} without metadata.name`,
      sample: nameForPeople(kind, metadata, object),
    };
  }
  const odd = new Oddities();
  if (kind === 'Namespace') {
    const record = projectNamespace(metadata, name, odd);
    return { outcome: 'record', record, odd: named(odd, kind, metadata, object) };
  }
  if (kind === 'Node') {
    const record = projectNode(object, metadata, name, odd);
    return { outcome: 'record', record, odd: named(odd, kind, metadata, object) };
  }
  const namespace = asText(metadata['namespace']);
  if (namespace === undefined) {
    // A cluster-scoped custom resource may own things, but is no workload of a namespace.
    if (!clusterObject && !CONTROLLER_KINDS.has(kind)) return { outcome: 'ignored', kind };
    return {
      outcome: 'unusable',
      reason: `${kind} without metadata.namespace`,
      sample: nameForPeople(kind, metadata, object),
    };
  }
  if (kind === 'Pod') {
    const record = projectPod(object, metadata, namespace, name, odd, interner);
    return { outcome: 'record', record, odd: named(odd, kind, metadata, object) };
  }
  if (kind === 'Service') {
    const record = projectService(object, metadata, namespace, name, odd);
    return { outcome: 'record', record, odd: named(odd, kind, metadata, object) };
  }
  const record: ControllerRecord = {
    type: 'controller',
    namespace,
    kind,
    name,
    uid: asText(metadata['uid']) ?? `${kind}/${namespace}/${name}`,
    owner,
    replicas: replicasOf(kind, object, odd),
    ...controllerTemplate(kind, object, owner, interner),
  };
  return { outcome: 'record', record, odd: named(odd, kind, metadata, object) };
}

function named(odd: Oddities, kind: string, metadata: JsonObject, object: JsonObject): string | undefined {
  return odd.first === undefined ? undefined : `${nameForPeople(kind, metadata, object)}: ${odd.first}`;
}
