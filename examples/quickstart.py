import anyio

from swarmkit import ContainerSpec, Replicated, SwarmClient, TaskTemplate


async def main() -> None:
    async with SwarmClient() as client:
        template = TaskTemplate(container_spec=ContainerSpec("nginx:1.28", env={"TZ": "UTC"}))
        await client.services.create(template, name="hello", mode=Replicated(replicas=2))
        await client.services.wait("hello", timeout=120)
        for task in await client.services.ps("hello"):
            print(task.slot, task.state, task.node_id)
        await client.services.remove("hello")


anyio.run(main)
