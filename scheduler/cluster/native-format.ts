/**
 * Netloom's own snapshot form, version 1 (docs/snapshot-format.md): the records themselves, a section per type.
 * Pure: reading one element, and writing a state as pieces of text.
 */
import { formatAddress, parseAddress, parseCidr } from '../../lib/ip.ts';
import { asArray, asCount, asLabels, asObject, asText, excerpt, type JsonObject } from '../../lib/json/json-access.ts';
import type { Section } from '../../lib/json/json-scanner.ts';
import type { ClusterRecord, Egress, OwnerRef, PodPhase, PodTemplate, Resources } from './model.ts';
import { nodeChoice, nodeTaints, type NodeChoice } from './node-choice.ts';
import { servicesMeant } from './references.ts';
import type { Projection } from './project.ts';

export const SNAPSHOT_FORMAT = 'snapshot';
export const SNAPSHOT_VERSION = 1;

const PHASES: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];
const NO_RESOURCES: Resources = { milliCpu: 0, memoryBytes: 0, pods: 0 };
const ONE_POD: Resources = { ...NO_RESOURCES, pods: 1 };

function resourcesOf(value: unknown, absent: Resources, place: string, oddities: string[]): Resources {
  const object = asObject(value);
  if (object === undefined) return absent;
  const count = (key: keyof Resources): number => countOf(object[key], `${place}.${key}`, oddities) ?? absent[key];
  return { milliCpu: count('milliCpu'), memoryBytes: count('memoryBytes'), pods: count('pods') };
}

/** undefined: nothing is stated, or what is cannot be used, and is told. */
function countOf(value: unknown, place: string, oddities: string[]): number | undefined {
  const count = asCount(value);
  if (count === undefined && value !== undefined && value !== null) {
    oddities.push(`${place} is ${excerpt(value)}, expected a whole number of 0 or more`);
  }
  return count;
}

function positiveOf(value: unknown, place: string, oddities: string[]): number | undefined {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  if (value !== undefined && value !== null) {
    oddities.push(`${place} is ${excerpt(value)}, expected a number above 0`);
  }
  return undefined;
}

function optional<K extends string, T>(key: K, value: T | undefined): Partial<Record<K, T>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, T>);
}

function egressOf(value: unknown, oddities: string[]): Egress | undefined {
  const object = asObject(value);
  if (object === undefined) return undefined;
  const rate = (key: keyof Egress): number | undefined => positiveOf(object[key], `egress.${key}`, oddities);
  return {
    ...optional('requestBytesPerSecond', rate('requestBytesPerSecond')),
    ...optional('limitBytesPerSecond', rate('limitBytesPerSecond')),
  };
}

function templateOf(value: unknown): PodTemplate | undefined {
  const object = asObject(value);
  if (object === undefined) return undefined;
  const texts = (of: unknown): string[] => asArray(of).filter((text): text is string => typeof text === 'string');
  return {
    images: texts(object['images']),
    references: texts(object['references']),
    ...optional('peers', asText(object['peers'])),
  };
}

function ownerOf(value: unknown): OwnerRef | undefined {
  const object = asObject(value);
  const kind = asText(object?.['kind']);
  const name = asText(object?.['name']);
  return kind === undefined || name === undefined ? undefined : { kind, name, uid: asText(object?.['uid']) ?? '' };
}

/** As it was written: in the words of a pod's spec it is what that says. */
function nodeChoiceOf(value: unknown): { readonly nodeChoice?: NodeChoice } {
  const object = asObject(value);
  if (object === undefined) return {};
  const terms = asArray(object['terms']).map((term) => ({
    matchExpressions: asObject(term)?.['labels'],
    matchFields: asObject(term)?.['fields'],
  }));
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } };
  const choice = nodeChoice({
    nodeSelector: object['selector'],
    tolerations: object['tolerations'],
    ...(object['terms'] === undefined ? {} : { affinity: { nodeAffinity: required } }),
  });
  return choice === undefined ? {} : { nodeChoice: choice };
}

/** One element of a section as a record. Absent fields have defaults; only names (and namespaces) are demanded. */
export function readNativeElement(section: Section, value: unknown): Projection {
  const object = asObject(value);
  if (object === undefined) {
    return { outcome: 'unusable', reason: `${section}: not an object`, sample: excerpt(value) };
  }
  const name = asText(object['name']);
  if (name === undefined) return { outcome: 'unusable', reason: `${section}: no name`, sample: excerpt(object) };
  const namespace = asText(object['namespace']);
  if (section !== 'nodes' && section !== 'namespaces' && namespace === undefined) {
    return { outcome: 'unusable', reason: `${section}: no namespace`, sample: name.slice(0, 80) };
  }
  const oddities: string[] = [];
  const record = readRecord(section, object, name, namespace ?? '', oddities);
  if (record === undefined) return { outcome: 'unusable', reason: `${section}: no kind`, sample: name.slice(0, 80) };
  const named = namespace === undefined ? name : `${namespace}/${name}`;
  const odd = oddities[0] === undefined ? undefined : `${section} ${named}: ${oddities[0]}`;
  return { outcome: 'record', record, odd };
}

function addressesOf(value: unknown, oddities: string[]): string[] {
  const texts: string[] = [];
  for (const entry of asArray(value)) {
    const bytes = typeof entry === 'string' ? parseAddress(entry) : undefined;
    if (bytes === undefined) oddities.push(`address ${excerpt(entry)} is no IP address`);
    else texts.push(formatAddress(bytes));
  }
  return texts;
}

function readRecord(
  section: Section,
  object: JsonObject,
  name: string,
  namespace: string,
  oddities: string[],
): ClusterRecord | undefined {
  const uid = asText(object['uid']);
  switch (section) {
    case 'namespaces':
      return {
        type: 'namespace',
        name,
        uid: uid ?? `Namespace/${name}`,
        placementOff: object['placementOff'] === true,
        ...optional('tenant', asText(object['tenant'])),
      };
    case 'nodes': {
      const podCidrs = asArray(object['podCidrs']).filter(
        (cidr): cidr is string => typeof cidr === 'string' && parseCidr(cidr) !== undefined,
      );
      if (podCidrs.length < asArray(object['podCidrs']).length) oddities.push('a podCidr is no CIDR');
      return {
        type: 'node',
        name,
        uid: uid ?? `Node/${name}`,
        addresses: addressesOf(object['addresses'], oddities),
        podCidrs,
        zone: asText(object['zone']),
        region: asText(object['region']),
        allocatable: resourcesOf(object['allocatable'], NO_RESOURCES, 'allocatable', oddities),
        ...optional('linkMbps', positiveOf(object['linkMbps'], 'linkMbps', oddities)),
        ...(Object.keys(asLabels(object['labels'])).length === 0 ? {} : { labels: asLabels(object['labels']) }),
        ...(nodeTaints(object).length === 0 ? {} : { taints: nodeTaints(object) }),
        ...optional('minor', asCount(object['minor'])),
      };
    }
    case 'pods': {
      const addresses = addressesOf(object['addresses'], oddities);
      const node = asText(object['node']);
      const phase = object['phase'] ?? (node === undefined ? 'Pending' : 'Running');
      const known = PHASES.find((p) => p === phase);
      if (known === undefined) oddities.push(`phase ${excerpt(phase)} is not known`);
      return {
        type: 'pod',
        uid: uid ?? `Pod/${namespace}/${name}`,
        namespace,
        name,
        node,
        addresses,
        hostNetwork: object['hostNetwork'] === true,
        phase: known ?? 'Unknown',
        owner: ownerOf(object['owner']),
        labels: asLabels(object['labels']),
        requests: resourcesOf(object['requests'], ONE_POD, 'requests', oddities),
        ...(asObject(object['scored']) === undefined
          ? {}
          : { scored: resourcesOf(object['scored'], ONE_POD, 'scored', oddities) }),
        ...nodeChoiceOf(object['nodeChoice']),
        mirror: object['mirror'] === true,
        ...(object['placementOff'] === true ? { placementOff: true as const } : {}),
        ...optional('scheduler', asText(object['scheduler'])),
        ...(object['soft'] === true ? { soft: true as const } : {}),
        ...optional('egress', egressOf(object['egress'], oddities)),
        ...optional('template', templateOf(object['template'])),
      };
    }
    case 'services':
      return {
        type: 'service',
        namespace,
        name,
        uid: uid ?? `Service/${namespace}/${name}`,
        addresses: addressesOf(object['addresses'], oddities),
        selector: Object.keys(asLabels(object['selector'])).length === 0 ? undefined : asLabels(object['selector']),
        ...optional('trafficDistribution', asText(object['trafficDistribution'])),
        ...(object['internalLocal'] === true ? { internalLocal: true as const } : {}),
      };
    case 'controllers': {
      const kind = asText(object['kind']);
      if (kind === undefined) return undefined;
      return {
        type: 'controller',
        namespace,
        kind,
        name,
        uid: uid ?? `${kind}/${namespace}/${name}`,
        owner: ownerOf(object['owner']),
        replicas: countOf(object['replicas'], 'replicas', oddities),
        ...optional('template', templateOf(object['template'])),
        ...optional('labels', object['labels'] === undefined ? undefined : asLabels(object['labels'])),
      };
    }
  }
}

/** What a snapshot is written from; ClusterState is one. */
export interface SnapshotContents {
  namespaces(): Iterable<ClusterRecord>;
  nodes(): Iterable<ClusterRecord>;
  pods(): Iterable<ClusterRecord>;
  services(): Iterable<ClusterRecord>;
  controllers(): Iterable<ClusterRecord>;
}

/** Texts of env and args that name no Service stay here: they are nobody's business. */
function recordText(record: ClusterRecord, isService: (name: string, namespace: string) => boolean): string {
  const template = record.type === 'pod' || record.type === 'controller' ? record.template : undefined;
  if (template === undefined) return JSON.stringify({ ...record, type: undefined });
  const { namespace } = record as { readonly namespace: string };
  const references = template.references.filter((reference) =>
    servicesMeant(reference, namespace).some((service) => isService(service.name, service.namespace)),
  );
  return JSON.stringify({ ...record, type: undefined, template: { ...template, references } });
}

/** The text of snapshot.json in pieces of a few kB to 64 kB; one record a line. */
export function* snapshotChunks(contents: SnapshotContents): Generator<string> {
  const services = new Set<string>();
  for (const record of contents.services()) {
    if (record.type === 'service') services.add(`${record.namespace}/${record.name}`);
  }
  const isService = (name: string, namespace: string): boolean => services.has(`${namespace}/${name}`);
  let text = `{"netloom":"${SNAPSHOT_FORMAT}","version":${SNAPSHOT_VERSION}`;
  const sections: [Section, Iterable<ClusterRecord>][] = [
    ['namespaces', contents.namespaces()],
    ['nodes', contents.nodes()],
    ['controllers', contents.controllers()],
    ['services', contents.services()],
    ['pods', contents.pods()],
  ];
  for (const [section, records] of sections) {
    text += `,\n"${section}":[`;
    let first = true;
    for (const record of records) {
      text += `${first ? '' : ','}\n${recordText(record, isService)}`;
      first = false;
      if (text.length > 65_536) {
        yield text;
        text = '';
      }
    }
    text += ']';
  }
  yield `${text}}\n`;
}
