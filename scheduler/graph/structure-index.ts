import { likeness } from '../cluster/likeness.ts';
import type { PodTemplate, ServiceRecord } from '../cluster/model.ts';
import { servicesMeant } from '../cluster/references.ts';
import { matchesSelector } from '../cluster/selector.ts';

export interface StructureWorkload {
  readonly key: string;
  readonly template: PodTemplate | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** What is read of the cluster; ClusterState is one. */
export interface StructureCluster {
  readonly structure: number;
  structures(): Iterable<readonly [namespace: string, structure: number]>;
  workloadsIn(namespace: string): Iterable<StructureWorkload>;
  servicesIn(namespace: string): Iterable<ServiceRecord>;
}

/** A namespace as it was when it was looked at. */
interface Namespace {
  readonly structure: number;
  /** Workload keys behind each Service with a selector, by name of the Service. */
  readonly behind: ReadonlyMap<string, readonly string[]>;
  /** The other way: Services before each workload. */
  readonly before: ReadonlyMap<string, readonly ServiceRecord[]>;
  /** Workload keys by likeness. */
  readonly alike: ReadonlyMap<string, readonly string[]>;
  /** Workloads that tell something of their peers, and the keys of those that do not. */
  readonly telling: readonly Telling[];
  readonly quiet: readonly string[];
}

interface Telling {
  readonly key: string;
  readonly template: PodTemplate;
  readonly like: string | undefined;
}

/** What is told of a workload's peers. */
export interface Told {
  readonly namespace: string;
  readonly key: string;
  readonly template: PodTemplate | undefined;
  /** Keys of workloads that are most likely the same program, itself among them. */
  readonly alike: readonly string[];
}

const NOTHING: readonly never[] = [];

/** Services, workloads and what these tell of their peers, indexed; looks again only at namespaces where any of that changed. */
export class StructureIndex {
  readonly #cluster: StructureCluster;
  readonly #namespaces = new Map<string, Namespace>();
  #structure = -1;
  #referencing: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(cluster: StructureCluster) {
    this.#cluster = cluster;
  }

  /** @returns whether anything changed since the last call */
  refresh(): boolean {
    const { structure } = this.#cluster;
    if (structure === this.#structure) return false;
    this.#structure = structure;
    this.#referencing = undefined;
    for (const [name, version] of this.#cluster.structures()) {
      if (this.#namespaces.get(name)?.structure === version) continue;
      const namespace = this.#look(name, version);
      if (namespace === undefined) this.#namespaces.delete(name);
      else this.#namespaces.set(name, namespace);
    }
    return true;
  }

  /** Keys of the workloads that a Service selects, by their labels. */
  behind(namespace: string, service: string): readonly string[] {
    return this.#namespaces.get(namespace)?.behind.get(service) ?? NOTHING;
  }

  /** Services that select a workload. */
  before(namespace: string, workload: string): readonly ServiceRecord[] {
    return this.#namespaces.get(namespace)?.before.get(workload) ?? NOTHING;
  }

  alike(namespace: string, likenessKey: string): readonly string[] {
    return this.#namespaces.get(namespace)?.alike.get(likenessKey) ?? NOTHING;
  }

  /** Workloads that a template's references lead to, each once. */
  referenced(namespace: string, template: PodTemplate | undefined): readonly string[] {
    const keys = new Set<string>();
    for (const reference of template?.references ?? NOTHING) {
      for (const meant of servicesMeant(reference, namespace)) {
        const behind = this.behind(meant.namespace, meant.name);
        for (const key of behind) keys.add(key);
        if (behind.length > 0) break;
      }
    }
    return [...keys];
  }

  /** Workloads whose templates refer to a Service that selects this one. */
  referencing(workload: string): readonly string[] {
    this.#referencing ??= this.#collectReferences();
    return this.#referencing.get(workload) ?? NOTHING;
  }

  /** Workloads of whose peers anything is told, by themselves or by who refers to them. */
  *told(): Iterable<Told> {
    for (const [namespace, { telling, alike, quiet }] of this.#namespaces) {
      for (const { key, template, like } of telling) {
        yield { namespace, key, template, alike: like === undefined ? NOTHING : alike.get(like)! };
      }
      for (const key of quiet) {
        if (this.referencing(key).length > 0) yield { namespace, key, template: undefined, alike: NOTHING };
      }
    }
  }

  /** "namespace/name" of all Services that select workloads, with their keys. */
  *services(): Iterable<readonly [service: string, workloads: readonly string[]]> {
    for (const [name, { behind }] of this.#namespaces) {
      for (const [service, keys] of behind) yield [`${name}/${service}`, keys];
    }
  }

  *likenesses(): Iterable<readonly [likeness: string, workloads: readonly string[]]> {
    for (const { alike } of this.#namespaces.values()) yield* alike;
  }

  #collectReferences(): ReadonlyMap<string, readonly string[]> {
    const referencing = new Map<string, string[]>();
    for (const [namespace, { telling }] of this.#namespaces) {
      for (const { key, template } of telling) {
        for (const server of this.referenced(namespace, template)) append(referencing, server, key);
      }
    }
    return referencing;
  }

  #look(name: string, structure: number): Namespace | undefined {
    const workloads = [...this.#cluster.workloadsIn(name)];
    const services = [...this.#cluster.servicesIn(name)];
    if (workloads.length === 0 && services.length === 0) return undefined;
    const byLabel = new Map<string, StructureWorkload[]>();
    const alike = new Map<string, string[]>();
    const telling: Telling[] = [];
    const quiet: string[] = [];
    for (const workload of workloads) {
      const { labels, template, key } = workload;
      for (const label in labels) append(byLabel, `${label}=${labels[label]!}`, workload);
      const like = likeness(name, template, labels);
      if (like !== undefined) append(alike, like, key);
      const tells = template !== undefined && (template.references.length > 0 || template.peers !== undefined);
      if (template !== undefined && (tells || like !== undefined)) telling.push({ key, template, like });
      else quiet.push(key);
    }
    const behind = new Map<string, string[]>();
    const before = new Map<string, ServiceRecord[]>();
    for (const service of services) {
      for (const { key } of selected(service, byLabel)) {
        append(behind, service.name, key);
        append(before, key, service);
      }
    }
    return { structure, behind, before, alike, telling, quiet };
  }
}

/** Workloads with all labels of the selector: of those with its rarest one. */
function selected(
  { selector }: ServiceRecord,
  byLabel: ReadonlyMap<string, readonly StructureWorkload[]>,
): StructureWorkload[] {
  if (selector === undefined) return [];
  let fewest: readonly StructureWorkload[] | undefined;
  for (const label in selector) {
    const having = byLabel.get(`${label}=${selector[label]!}`) ?? NOTHING;
    if (fewest === undefined || having.length < fewest.length) fewest = having;
  }
  return (fewest ?? NOTHING).filter(({ labels }) => matchesSelector(selector, labels));
}

function append<V>(lists: Map<string, V[]>, key: string, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
