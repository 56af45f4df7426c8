/**
 * Which nodes a pod may go to by its own word and theirs: nodeSelector and required node affinity against labels,
 * tolerations against taints (kube-scheduler's NodeAffinity, TaintToleration and NodeUnschedulable filters). Pure.
 */
import { asArray, asLabels, asObject, asText, type JsonObject } from '../../lib/json/json-access.ts';

export interface Taint {
  readonly key: string;
  readonly value: string;
  readonly effect: Effect;
}

/** PreferNoSchedule keeps nobody away. */
export type Effect = (typeof EFFECTS)[number];
const EFFECTS = ['NoSchedule', 'NoExecute', 'PreferNoSchedule'] as const;

export interface Toleration {
  /** '': every key, with Exists. */
  readonly key: string;
  readonly operator: string;
  readonly value: string;
  /** '': every effect. */
  readonly effect: string;
}

export interface NodeRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
}

/** All of `labels` and of `fields` (metadata.name) must hold. */
export interface NodeTerm {
  readonly labels: readonly NodeRequirement[];
  readonly fields: readonly NodeRequirement[];
}

/** What a pod demands of its node, beside requests. */
export interface NodeChoice {
  readonly selector: Readonly<Record<string, string>>;
  /** One of them must hold; undefined: there is no required affinity. */
  readonly terms: readonly NodeTerm[] | undefined;
  readonly tolerations: readonly Toleration[];
}

const UNSCHEDULABLE: Taint = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' };

/** Those of its spec; a cordoned node has one more. */
export function nodeTaints(spec: JsonObject | undefined): readonly Taint[] {
  const taints: Taint[] = [];
  for (const entry of asArray(spec?.['taints'])) {
    const taint = asObject(entry);
    const key = asText(taint?.['key']);
    const effect = EFFECTS.find((known) => known === taint?.['effect']);
    if (key === undefined || effect === undefined) continue;
    taints.push({ key, value: asText(taint?.['value']) ?? '', effect });
  }
  const cordoned = spec?.['unschedulable'] === true && taints.every(({ key }) => key !== UNSCHEDULABLE.key);
  return cordoned ? [...taints, UNSCHEDULABLE] : taints;
}

/** undefined: the pod demands nothing, and tolerates nothing but what every pod does. */
export function nodeChoice(spec: JsonObject | undefined): NodeChoice | undefined {
  const selector = asLabels(spec?.['nodeSelector']);
  const affinity = asObject(asObject(spec?.['affinity'])?.['nodeAffinity']);
  const required = asObject(affinity?.['requiredDuringSchedulingIgnoredDuringExecution']);
  const terms = required === undefined ? undefined : asArray(required['nodeSelectorTerms']).map(termOf);
  const tolerations = asArray(spec?.['tolerations']).flatMap(tolerationOf);
  if (Object.keys(selector).length === 0 && terms === undefined && tolerations.length === 0) return undefined;
  return { selector, terms, tolerations };
}

interface ChosenNode {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly Taint[];
}

export function mayGo(choice: NodeChoice | undefined, node: ChosenNode): boolean {
  for (const taint of node.taints ?? []) {
    if (taint.effect !== 'PreferNoSchedule' && !isTolerated(choice, taint)) return false;
  }
  if (choice === undefined) return true;
  const labels = node.labels ?? {};
  for (const key in choice.selector) if (labels[key] !== choice.selector[key]) return false;
  if (choice.terms === undefined) return true;
  return choice.terms.some(
    (term) =>
      term.labels.length + term.fields.length > 0 &&
      term.labels.every((requirement) => holds(requirement, labels[requirement.key])) &&
      term.fields.every((requirement) =>
        holds(requirement, requirement.key === 'metadata.name' ? node.name : undefined),
      ),
  );
}

/** Taints PreferNoSchedule that the pod does not tolerate: what TaintToleration's score counts. */
export function avoidedFor(choice: NodeChoice | undefined, { taints = [] }: Pick<ChosenNode, 'taints'>): number {
  return taints.filter((taint) => taint.effect === 'PreferNoSchedule' && !isTolerated(choice, taint)).length;
}

export function isAvoided({ taints = [] }: Pick<ChosenNode, 'taints'>): boolean {
  return taints.some(({ effect }) => effect === 'PreferNoSchedule');
}

function isTolerated(choice: NodeChoice | undefined, taint: Taint): boolean {
  return choice?.tolerations.some((toleration) => tolerates(toleration, taint)) === true;
}

function tolerates(toleration: Toleration, taint: Taint): boolean {
  const { key, operator, value, effect } = toleration;
  if (effect !== '' && effect !== taint.effect) return false;
  if (key !== '' && key !== taint.key) return false;
  return operator === 'Exists' || (operator === 'Equal' && key !== '' && value === taint.value);
}

function holds({ operator, values }: NodeRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const [have, limit] = [Number(value), Number(values[0])];
      if (value === undefined || !Number.isInteger(have) || !Number.isInteger(limit)) return false;
      return operator === 'Gt' ? have > limit : have < limit;
    }
    default:
      return false;
  }
}

function termOf(value: unknown): NodeTerm {
  const term = asObject(value);
  const requirements = (key: string): NodeRequirement[] =>
    asArray(term?.[key]).map((entry) => {
      const requirement = asObject(entry);
      return {
        key: asText(requirement?.['key']) ?? '',
        operator: asText(requirement?.['operator']) ?? '',
        values: asArray(requirement?.['values']).map(String),
      };
    });
  return { labels: requirements('matchExpressions'), fields: requirements('matchFields') };
}

/**
 * Every pod gets these two for 5 minutes (DefaultTolerationSeconds): they let it stay on a node that fails, not come
 * to one.
 */
const BY_DEFAULT: ReadonlySet<string> = new Set(['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']);

function tolerationOf(value: unknown): Toleration[] {
  const entry = asObject(value);
  if (entry === undefined) return [];
  const key = asText(entry['key']) ?? '';
  const effect = asText(entry['effect']) ?? '';
  if (BY_DEFAULT.has(key) && effect === 'NoExecute' && entry['tolerationSeconds'] !== undefined) return [];
  return [{ key, operator: asText(entry['operator']) ?? 'Equal', value: asText(entry['value']) ?? '', effect }];
}
