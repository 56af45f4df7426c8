import { isPlacementOff } from '../cluster/placement-off.ts';
import { asObject } from '../../lib/json/json-access.ts';
import type { PodTemplate } from '../cluster/model.ts';
import { podTemplate } from '../cluster/pod-template.ts';
import { hasSoftPreferences } from '../cluster/soft-preferences.ts';
import { tooComplex } from './json-guard.ts';

/** What is read of the pod in a request. */
export interface PodFacts {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** The owner reference with `controller: true`. */
  readonly controller: { readonly kind: string; readonly name: string } | undefined;
  readonly labels: Readonly<Record<string, unknown>>;
  /** A static pod's image in the API: it stands where its file lies. */
  readonly mirror: boolean;
  /** netloom.io/placement: "off" */
  readonly placementOff: boolean;
  /** A member of a PodGroup: asked about hypothetically, again and again, before any of the group is bound. */
  readonly inGroup: boolean;
  /** Its owner states preferences that kube-scheduler weighs. */
  readonly soft?: true;
}

/** k8s.io/kube-scheduler/extender/v1 ExtenderArgs, as far as it is used. */
export interface ExtenderArgs {
  readonly pod: PodFacts;
  /** With nodeCacheCapable: true. */
  readonly nodeNames: readonly string[] | undefined;
  /** With nodeCacheCapable: false: the NodeList as it came, and the names of its items. */
  readonly nodes: { readonly list: object; readonly names: readonly string[] } | undefined;
}

export type ParsedArgs = { readonly args: ExtenderArgs } | { readonly reason: string };

/** From this size on a body is looked over before it is parsed; below, the worst body costs some 50 ms. */
const GUARDED_BYTES = 512 * 1024;

/**
 * Decodes a request as Go's encoding/json does for ExtenderArgs: keys in any case (of two the later one), null for "not given", unknown keys ignored, wrong types refused. Stricter than Go in that
 * nothing may follow the value, and that a Pod must be there.
 * @param end what is to be taken as the rest of the body
 */
export function parseArgs(body: Buffer, end = ''): ParsedArgs {
  if (body.length === 0) return { reason: 'the body is empty' };
  if (body.length > GUARDED_BYTES) {
    const reason = tooComplex(body);
    if (reason !== undefined) return { reason };
  }
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8') + end);
  } catch (error) {
    return { reason: `the body is not JSON: ${error instanceof Error ? error.message : 'unknown'}` };
  }
  try {
    const args = asArgs(value);
    // The list may be written out again, by recursion.
    const reason = args.nodes !== undefined && body.length <= GUARDED_BYTES ? tooComplex(body) : undefined;
    return reason === undefined ? { args } : { reason };
  } catch (error) {
    if (error instanceof Mismatch) return { reason: error.message };
    throw error;
  }
}

/** The candidates, whichever way they came. */
export function candidateNames(args: ExtenderArgs): readonly string[] {
  return args.nodeNames ?? args.nodes?.names ?? [];
}

type Json = Readonly<Record<string, unknown>>;

const NOTHING: Json = Object.freeze({});

class Mismatch extends Error {}

function asArgs(value: unknown): ExtenderArgs {
  if (!isObject(value)) throw mismatch('the body', 'an ExtenderArgs object', value);
  const pod = field(value, 'Pod');
  if (!isObject(pod)) throw mismatch('Pod', 'an object', pod);
  const list = objectOr(field(value, 'Nodes'), 'Nodes');
  return {
    pod: asPod(pod),
    nodeNames: asNames(field(value, 'NodeNames')),
    nodes: list === undefined ? undefined : { list, names: namesOfNodes(list) },
  };
}

function asPod(pod: Json): PodFacts {
  const metadata = objectOr(field(pod, 'metadata'), 'Pod.metadata') ?? NOTHING;
  const place = 'Pod.metadata.ownerReferences';
  let controller: PodFacts['controller'];
  for (const entry of arrayOr(field(metadata, 'ownerReferences'), place) ?? []) {
    const owner = objectOr(entry, `${place}[]`) ?? NOTHING;
    const isController = field(owner, 'controller') ?? false;
    if (typeof isController !== 'boolean') throw mismatch(`${place}[].controller`, 'true or false', isController);
    if (!isController || controller !== undefined) continue;
    controller = {
      kind: text(field(owner, 'kind'), `${place}[].kind`),
      name: text(field(owner, 'name'), `${place}[].name`),
    };
  }
  const annotations = objectOr(field(metadata, 'annotations'), 'Pod.metadata.annotations') ?? NOTHING;
  const labels = objectOr(field(metadata, 'labels'), 'Pod.metadata.labels') ?? NOTHING;
  const spec = field(pod, 'spec');
  const facts: PodFacts = {
    uid: text(field(metadata, 'uid'), 'Pod.metadata.uid'),
    namespace: text(field(metadata, 'namespace'), 'Pod.metadata.namespace'),
    name: text(field(metadata, 'name'), 'Pod.metadata.name'),
    controller,
    labels,
    placementOff: isPlacementOff({ annotations, labels }),
    mirror: Object.hasOwn(annotations, 'kubernetes.io/config.mirror'),
    inGroup: isObject(spec) && isObject(field(spec, 'schedulingGroup')),
    ...(hasSoftPreferences(spec) ? { soft: true as const } : {}),
  };
  specs.set(facts, { spec, annotations });
  return facts;
}

/** What pods were made from; kept as long as they are. */
const specs = new WeakMap<PodFacts, { readonly spec: unknown; readonly annotations: Json }>();

/** Read only where it is asked for: most pods belong to workloads whose traffic is known. */
export function templateOf(pod: PodFacts): PodTemplate | undefined {
  const made = specs.get(pod);
  return made === undefined ? undefined : podTemplate(asObject(made.spec), made.annotations);
}

function asNames(value: unknown): string[] | undefined {
  const names = arrayOr(value, 'NodeNames');
  if (names === undefined) return undefined;
  for (let i = 0; i < names.length; i++) {
    if (typeof names[i] !== 'string') names[i] = text(names[i], 'NodeNames[]');
  }
  return names as string[];
}

function namesOfNodes(list: Json): string[] {
  return (arrayOr(field(list, 'items'), 'Nodes.items') ?? []).map((item) => {
    const node = objectOr(item, 'Nodes.items[]') ?? NOTHING;
    const metadata = objectOr(field(node, 'metadata'), 'Nodes.items[].metadata') ?? NOTHING;
    return text(field(metadata, 'name'), 'Nodes.items[].metadata.name');
  });
}

function field(object: Json, name: string): unknown {
  const lower = name.toLowerCase();
  let value: unknown;
  for (const key of Object.keys(object)) {
    if (key.length === lower.length && key.toLowerCase() === lower) value = object[key];
  }
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOr(value: unknown, place: string): Json | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw mismatch(place, 'an object', value);
  return value;
}

function arrayOr(value: unknown, place: string): unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw mismatch(place, 'an array', value);
  return value as unknown[];
}

function text(value: unknown, place: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw mismatch(place, 'a string', value);
  return value;
}

function mismatch(place: string, expected: string, found: unknown): Mismatch {
  const what =
    found === undefined ? 'nothing' : found === null ? 'null' : Array.isArray(found) ? 'an array' : typeof found;
  return new Mismatch(`${place}: expected ${expected}, found ${what}`);
}
