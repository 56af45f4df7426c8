import type { Endpoint } from './endpoint-table.ts';

/** An edge of a traffic file: rates as they stand there. */
export interface FileEdge {
  readonly client: Endpoint;
  readonly server: Endpoint;
  /** Bytes per second, client -> server and back. */
  readonly bytesPerSecondOut: number;
  readonly bytesPerSecondIn: number;
}

/** "namespace/Kind/name", as workloadKey() has it for workloads; peers without namespace start with "/". */
export function endpointKey(endpoint: Endpoint): string {
  return `${endpoint.namespace}/${endpoint.kind}/${endpoint.name}`;
}

/** Imported edges. They replace each other as a whole, are believed fully, and are not saved: the file is read again. */
export class FileTraffic {
  #edges = new Map<string, FileEdge>();
  /** Whether figures are bytes per second; false: any unit (the traffic floor is off then). */
  hasUnits = true;

  /** Rows of the same pair add up. */
  replace(rows: Iterable<FileEdge>): void {
    const edges = new Map<string, FileEdge>();
    for (const row of rows) {
      const key = pairKey(row.client, row.server);
      const known = edges.get(key);
      edges.set(
        key,
        known === undefined
          ? row
          : {
              ...known,
              bytesPerSecondOut: known.bytesPerSecondOut + row.bytesPerSecondOut,
              bytesPerSecondIn: known.bytesPerSecondIn + row.bytesPerSecondIn,
            },
      );
    }
    this.#edges = edges;
  }

  get size(): number {
    return this.#edges.size;
  }

  /** What the file says of a pair goes before what was measured of it. */
  get(client: Endpoint, server: Endpoint): FileEdge | undefined {
    return this.#edges.size === 0 ? undefined : this.#edges.get(pairKey(client, server));
  }

  edges(): IterableIterator<FileEdge> {
    return this.#edges.values();
  }
}

function pairKey(client: Endpoint, server: Endpoint): string {
  return `${endpointKey(client)}>${endpointKey(server)}`;
}
