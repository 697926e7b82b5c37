// The people of the local world.

export type User = { readonly name: string; readonly groups: readonly string[]; readonly email: string }

export const users: readonly User[] = [
  { name: 'ann', groups: ['engineering', 'everyone'], email: 'ann@acme.example' },
  { name: 'bo', groups: ['support', 'contractors', 'everyone'], email: 'bo@acme.example' },
  { name: 'kim', groups: ['everyone'], email: 'kim@acme.example' },
]

export function findUser(name: string): User | undefined {
  return users.find((user) => user.name === name)
}
