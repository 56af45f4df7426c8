import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ActorCommand } from './actor.ts';

/** An actor.ts running inside a network namespace. */
export class Actor {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, (answer: { result?: unknown; error?: string }) => void>();
  private nextId = 1;

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on('message', (message: { id: number; result?: unknown; error?: string }) => {
      this.waiting.get(message.id)?.(message);
      this.waiting.delete(message.id);
    });
  }

  static async start(netns: string): Promise<Actor> {
    const child = spawn('ip', ['netns', 'exec', netns, process.execPath, join(import.meta.dirname, 'actor.ts')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(child, 'message');
    return new Actor(child);
  }

  async do<T = void>(command: ActorCommand): Promise<T> {
    const id = this.nextId++;
    const answer = new Promise<{ result?: unknown; error?: string }>((resolve) => this.waiting.set(id, resolve));
    this.child.send({ id, command });
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${JSON.stringify(command)}: ${error}`);
    return result as T;
  }

  get pid(): number {
    return this.child.pid!;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}
