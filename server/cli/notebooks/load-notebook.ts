import { readFile } from 'node:fs/promises';
import { invalidField, messageOf } from '../../core/errors.ts';

/** The JSON of a notebook from a file, or from stdin for `-`. */
export async function loadNotebook(path: string): Promise<unknown> {
  try {
    return JSON.parse(path === '-' ? await readStdin() : await readFile(path, 'utf8'));
  } catch (error) {
    throw invalidField('IN', messageOf(error));
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
