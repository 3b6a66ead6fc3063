"""An existing VPC the functions run in, where the account's rules ask for one.

Knows subnets and gateway endpoints. Makes no VPC and no way out of it: those are the account's.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.audit import acknowledge
from infra.settings import Settings


class Network(Construct):
    """`vpc` and `subnets` are None where no VPC is set."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)
        self.vpc: ec2.IVpc | None = None
        self.subnets: ec2.SubnetSelection | None = None
        if not settings.vpc_id:
            return
        self.vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=settings.vpc_id,
            # Which zone a subnet lies in is asked of nobody at synthesis, and nothing here depends on it.
            availability_zones=[f"unknown-{n}" for n, _ in enumerate(settings.vpc_subnet_ids)],
            private_subnet_ids=list(settings.vpc_subnet_ids),
        )
        acknowledge(self, "@aws-cdk/aws-ec2:noSubnetRouteTableId", "The endpoints take route tables from a setting.")
        self.subnets = ec2.SubnetSelection(subnets=self.vpc.private_subnets)
        self._endpoints(settings)

    def _endpoints(self, settings: Settings) -> None:
        """S3 and DynamoDB without a NAT gateway's price for every gigabyte that lands."""
        if not settings.vpc_route_table_ids:
            return
        for name in ("s3", "dynamodb"):
            ec2.CfnVPCEndpoint(
                self,
                f"{name}Endpoint",
                vpc_id=settings.vpc_id,
                service_name=f"com.amazonaws.{cdk.Aws.REGION}.{name}",
                route_table_ids=list(settings.vpc_route_table_ids),
            )
