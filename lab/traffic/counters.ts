/** What pod.c counted since its start: payload bytes that it handed to send() and took from recv(). */
export interface PodCounters {
  /** Counts up with each writing of the file. */
  readonly sequence: number;
  readonly generation: number;
  readonly paused: boolean;
  readonly pid: number;
  readonly uptimeMs: number;
  /** Connections that the process itself turned away. */
  readonly refused: number;
  readonly client: readonly ClientCounters[];
  readonly server: readonly ServerCounters[];
}

export interface ClientCounters {
  readonly edge: string;
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly requests: number;
  readonly responses: number;
  readonly connections: number;
  readonly connectErrors: number;
  /** Requests that got no answer because the connection ended. */
  readonly errors: number;
  /** Requests that were due and not made, because the process or its peers could not keep up. */
  readonly skipped: number;
  /** Of `bytesOut`: sent with requests that were never answered, so perhaps never delivered. */
  readonly unansweredBytes: number;
  readonly busy: number;
  readonly open: number;
}

export interface ServerCounters {
  /** Address of the client as the server sees it; empty: all beyond the 3,584th together. */
  readonly peer: string;
  readonly port: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly requests: number;
  readonly connections: number;
  readonly open: number;
}

/** undefined: not (yet) a whole counters file. */
export function parseCounters(text: string): PodCounters | undefined {
  try {
    const value = JSON.parse(text) as PodCounters | null;
    return typeof value?.sequence === 'number' && Array.isArray(value.client) && Array.isArray(value.server)
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}
