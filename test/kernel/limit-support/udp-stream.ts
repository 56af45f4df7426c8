import { startTraffic } from './listener.ts';

/** Payload; with UDP, IPv4 and Ethernet headers 1,442 bytes on the wire. */
const PAYLOAD = 1400;
const HEADERS = 42;
const WIRE_BITS = 8 * (PAYLOAD + HEADERS);

interface Sender {
  readonly netns: string;
}
interface Receiver {
  readonly netns: string;
  readonly address: string;
}

/** Datagrams that are sent without a pause, and when they came, by the clock of the receiving kernel. */
export class UdpStream {
  readonly #sender: { last(): Promise<string> };
  readonly #sink: { last(): Promise<string> };

  private constructor(sender: { last(): Promise<string> }, sink: { last(): Promise<string> }) {
    this.#sender = sender;
    this.#sink = sink;
  }

  /**
   * @param rateBps bits a second on the wire
   * @param stamp departure time of each (SO_TXTIME), as traffic.py takes it
   */
  static async start(from: Sender, to: Receiver, rateBps: number, port = 6000, stamp?: string): Promise<UdpStream> {
    const sink = await startTraffic(to.netns, 'timed-sink', port);
    const stamped = stamp === undefined ? [] : [stamp];
    const rate = rateBps / WIRE_BITS;
    const sender = await startTraffic(from.netns, 'flood', to.address, port, PAYLOAD, rate, ...stamped);
    return new UdpStream(sender, sink);
  }

  async stop(): Promise<Arrivals> {
    const sent = Number(await this.#sender.last());
    const ms = JSON.parse(await this.#sink.last()) as [number, number, number][];
    return new Arrivals(
      sent,
      ms.map(([atMs, bytes, datagrams]) => ({ atMs, bits: 8 * (bytes + HEADERS * datagrams), datagrams })),
    );
  }
}

interface Millisecond {
  /** Since 1970. */
  readonly atMs: number;
  readonly bits: number;
  readonly datagrams: number;
}

export class Arrivals {
  readonly sent: number;
  readonly #ms: readonly Millisecond[];

  constructor(sent: number, ms: readonly Millisecond[]) {
    this.sent = sent;
    this.#ms = ms;
  }

  get milliseconds(): readonly Millisecond[] {
    return this.#ms;
  }

  get datagrams(): number {
    return this.#ms.reduce((sum, { datagrams }) => sum + datagrams, 0);
  }

  /** Mean between two moments (ms since 1970), bits a second on the wire. */
  meanBps(fromMs: number, toMs: number): number {
    const bits = this.#ms
      .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
      .reduce((sum, { bits: some }) => sum + some, 0);
    return (bits * 1000) / (toMs - fromMs);
  }

  /** Of all windows of this length between two moments, the one with the most; bits a second on the wire. */
  mostBps(windowMs = 1000, fromMs = -Infinity, toMs = Infinity): number {
    const inside = this.#ms.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    let [sum, most, first] = [0, 0, 0];
    for (const { atMs, bits } of inside) {
      sum += bits;
      while (inside[first]!.atMs <= atMs - windowMs) sum -= inside[first++]!.bits;
      most = Math.max(most, sum);
    }
    return (most * 1000) / windowMs;
  }
}

/**
 * By how much what arrived exceeds a rate at most, over all stretches of time, ms of that rate: what a token bucket must
 * have held. Unlike a mean between two moments it does not depend on when senders got the CPU.
 */
export function burstMs(all: readonly Arrivals[], rateBps: number): number {
  const ms = all.flatMap((arrivals) => arrivals.milliseconds).sort((a, b) => a.atMs - b.atMs);
  let [level, lastMs, most] = [0, -Infinity, 0];
  for (const { atMs, bits } of ms) {
    level = Math.max(0, level - (atMs - lastMs)) + (bits * 1000) / rateBps;
    lastMs = atMs;
    most = Math.max(most, level);
  }
  return most;
}

/**
 * What may come at once on ways that HTB sees, and on others: its queue (3 ms are measured); the policer's, HTB's behind
 * it, and what waited for a softirq (251 ms are).
 */
export const HTB_BURST_MS = 40;
export const POLICER_BURST_MS = 250 + HTB_BURST_MS + 10;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
