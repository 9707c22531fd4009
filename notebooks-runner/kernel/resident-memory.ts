import { readFile } from 'node:fs/promises';

/**
 * Resident bytes of a process and its descendants, from /proc; undefined when the process is gone or the system has
 * no /proc. Shared pages count once per process.
 */
export async function residentBytes(pid: number): Promise<number | undefined> {
  const own = await residentBytesOf(pid);
  if (own === undefined) return undefined;
  let total = own;
  const pending = await childrenOf(pid);
  for (let child = pending.pop(); child !== undefined; child = pending.pop()) {
    total += (await residentBytesOf(child)) ?? 0;
    pending.push(...(await childrenOf(child)));
  }
  return total;
}

async function residentBytesOf(pid: number): Promise<number | undefined> {
  const status = await readProc(`/proc/${pid}/status`);
  const kibibytes = status === undefined ? undefined : /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

async function childrenOf(pid: number): Promise<number[]> {
  const list = await readProc(`/proc/${pid}/task/${pid}/children`);
  return (list ?? '').split(' ').filter(Boolean).map(Number);
}

async function readProc(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
