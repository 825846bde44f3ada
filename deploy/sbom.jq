# What is compiled into the programs, as CycloneDX 1.5, from `cargo metadata` of one platform. Crates
# that only tests need are left out. Arguments: version, timestamp, checksums (`name version` to
# SHA-256, from Cargo.lock), programs (names of packages).

def reachable($nodes):
    def grow($seen; $next):
        if ($next | length) == 0 then $seen
        else
            ($seen + ($next | map({(.): true}) | add)) as $now
            | grow($now; [$next[] | $nodes[.].deps[]
                | select(any(.dep_kinds[]; .kind == null or .kind == "build")) | .pkg
                | select($now[.] | not)] | unique)
        end;
    grow({}; .);

def reference: "pkg:cargo/\(.name)@\(.version)";

def component($checksums):
    {
        type: "library",
        "bom-ref": reference,
        name,
        version,
        scope: "required",
        purl: reference
    }
    + (if .license then {licenses: [{expression: (.license | gsub("/"; " OR "))}]} else {} end)
    + (if $checksums["\(.name) \(.version)"]
       then {hashes: [{alg: "SHA-256", content: $checksums["\(.name) \(.version)"]}]} else {} end)
    + (if .repository
       then {externalReferences: [{type: "vcs", url: .repository}]} else {} end);

(.packages | map({(.id): .}) | add) as $packages
| (.resolve.nodes | map({(.id): .}) | add) as $nodes
| (.workspace_members | map(select($packages[.].name as $name | $programs | index($name)))
    | reachable($nodes)) as $inside
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
        timestamp: $timestamp,
        component: {
            type: "application",
            "bom-ref": "fairway",
            name: "fairway",
            version: $version,
            licenses: [{license: {id: "Apache-2.0"}}]
        }
    },
    components: [$packages[] | select($inside[.id]) | component($checksums[0])]
        | sort_by(."bom-ref"),
    dependencies: (
        [{ref: "fairway", dependsOn: ([$packages[] | select($inside[.id])
            | select(.name as $name | $programs | index($name)) | reference] | sort)}]
        + ([$nodes[] | select($inside[.id]) | {
            ref: ($packages[.id] | reference),
            dependsOn: ([.deps[]
                | select(any(.dep_kinds[]; .kind == null or .kind == "build")) | .pkg
                | select($inside[.]) | $packages[.] | reference] | unique)
        }] | sort_by(.ref))
    )
}
