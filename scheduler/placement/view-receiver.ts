import type { NameTables, NamespaceFacts, PlacementView } from './view.ts';
import { type PackedNames, type ViewMessage, unpackName } from './view-message.ts';

/** Names entered in one turn of the event loop: about a quarter of a millisecond. */
const NAMES_PER_TURN = 1_000;

interface Tables extends NameTables {
  readonly nodes: string[];
  readonly nodeIndex: Map<string, number>;
  readonly workloads: string[];
  readonly workloadIndex: Map<string, number>;
  readonly ownerIndex: Map<string, number>;
  readonly zones: string[];
  readonly regions: string[];
  services: ReadonlyMap<string, readonly number[]>;
  alike: ReadonlyMap<string, readonly number[]>;
  namespaces: ReadonlyMap<string, NamespaceFacts>;
}

/**
 * The extender's side: owns the name tables, enters new names a thousand a turn, and makes a view current once all
 * names that it needs are in. Answers go on from the view before until then.
 */
export class PlacementViewReceiver {
  readonly #onView: (view: PlacementView) => void;
  readonly #defer: (turn: () => void) => void;
  readonly #waiting: ViewMessage[] = [];
  #tables = newTables();
  #steps: Iterator<void> | undefined;
  #current: PlacementView | undefined;

  /** @param defer runs a function in a later turn of the event loop */
  constructor(onView: (view: PlacementView) => void = () => {}, defer: (turn: () => void) => void = setImmediate) {
    this.#onView = onView;
    this.#defer = defer;
  }

  /** undefined until the first view is complete. */
  get current(): PlacementView | undefined {
    return this.#current;
  }

  receive(message: ViewMessage): void {
    this.#waiting.push(message);
    if (this.#steps === undefined) this.#turn();
  }

  #turn(): void {
    for (;;) {
      const message = this.#waiting[0];
      if (message === undefined) return;
      if (this.#steps === undefined) {
        if (message.reset) this.#tables = newTables();
        this.#steps = enter(this.#tables, message);
      }
      if (this.#steps.next().done !== true) {
        this.#defer(() => this.#turn());
        return;
      }
      this.#steps = undefined;
      this.#waiting.shift();
      // Names must go in one after the other, views in between may be left out.
      if (this.#waiting.length === 0) this.#show(message);
    }
  }

  #show(message: ViewMessage): void {
    const { names: _names, lookups: _lookups, reset: _reset, arrays, ...common } = message;
    this.#current = { ...common, ...arrays, names: this.#tables };
    this.#onView(this.#current);
  }
}

function newTables(): Tables {
  return {
    nodes: [],
    nodeIndex: new Map(),
    workloads: [],
    workloadIndex: new Map(),
    ownerIndex: new Map(),
    zones: [],
    regions: [],
    services: new Map(),
    alike: new Map(),
    namespaces: new Map(),
  };
}

/** Yields where the turn should end. */
function* enter(tables: Tables, { names, lookups }: ViewMessage): Generator<undefined, void> {
  let left = NAMES_PER_TURN;
  const lists: [PackedNames, (name: string, i: number) => void][] = [
    [names.zones, (name) => tables.zones.push(name)],
    [names.regions, (name) => tables.regions.push(name)],
    [names.nodes, (name) => tables.nodeIndex.set(name, tables.nodes.push(name) - 1)],
    [names.workloads, (name) => tables.workloadIndex.set(name, tables.workloads.push(name) - 1)],
    [names.owners, (name, i) => tables.ownerIndex.set(name, names.ownerWorkload[i]!)],
  ];
  const found = { services: new Map<string, number[]>(), alike: new Map<string, number[]>() };
  const namespaces = new Map<string, NamespaceFacts>();
  if (lookups !== undefined) {
    for (const name of ['services', 'alike'] as const) {
      const { keys, start, value } = lookups[name];
      lists.push([keys, (key, i) => found[name].set(key, [...value.subarray(start[i], start[i + 1])])]);
    }
    const { keys, start, value } = lookups.namespaces;
    lists.push([keys, (key, i) => namespaces.set(key, [value[start[i]!]!, value[start[i]! + 1]!])]);
  }
  for (const [packed, add] of lists) {
    for (let i = 0; i < packed.ends.length; i++) {
      add(unpackName(packed, i), i);
      if (--left > 0) continue;
      left = NAMES_PER_TURN;
      yield;
    }
  }
  if (lookups === undefined) return;
  tables.services = found.services;
  tables.alike = found.alike;
  tables.namespaces = namespaces;
}
